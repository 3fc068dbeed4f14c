/** Socket filters in classic BPF, which the kernel runs before it queues a datagram. @module */
import { integer, options as optionsOf, wrongType } from '../base/argument.ts';

/** An instruction, struct sock_filter of linux/filter.h. */
export interface BpfInstruction {
  /** The opcode: a sum of {@link BPF} values. */
  readonly code: number;
  /** Instructions to skip if a jump's condition is true, 0 to 255; default 0. */
  readonly jt?: number;
  /** Instructions to skip if it is false. */
  readonly jf?: number;
  /** Operand: an offset in the datagram, a constant, or the result; unsigned; default 0. */
  readonly k?: number;
}

/**
 * The parts of an opcode, under the names of linux/bpf_common.h and linux/filter.h without `BPF_`.
 */
export const BPF = {
  LD: 0x00,
  LDX: 0x01,
  ST: 0x02,
  STX: 0x03,
  ALU: 0x04,
  JMP: 0x05,
  RET: 0x06,
  MISC: 0x07,
  W: 0x00,
  H: 0x08,
  B: 0x10,
  IMM: 0x00,
  ABS: 0x20,
  IND: 0x40,
  MEM: 0x60,
  LEN: 0x80,
  MSH: 0xa0,
  ADD: 0x00,
  SUB: 0x10,
  MUL: 0x20,
  DIV: 0x30,
  OR: 0x40,
  AND: 0x50,
  LSH: 0x60,
  RSH: 0x70,
  NEG: 0x80,
  MOD: 0x90,
  XOR: 0xa0,
  JA: 0x00,
  JEQ: 0x10,
  JGT: 0x20,
  JGE: 0x30,
  JSET: 0x40,
  K: 0x00,
  X: 0x08,
  A: 0x10,
  TAX: 0x00,
  TXA: 0x80,
} as const;

/** BPF_MAXINSNS of linux/bpf_common.h. */
const MOST = 4096;
const CLASS = 7;
const FIELDS: ReadonlySet<string> = new Set<keyof BpfInstruction>(['code', 'jt', 'jf', 'k']);

/**
 * Encodes a program, after checking what can be checked here: every number fits its field, every
 * jump stays inside the program, and it ends with a return. The kernel checks the opcodes
 * (net/core/filter.c, bpf_check_classic).
 */
export function encodeFilter(instructions: readonly BpfInstruction[]): Uint8Array {
  if (!Array.isArray(instructions) || instructions.length === 0 || instructions.length > MOST) {
    throw wrongType('instructions', `an array of 1 to ${MOST} instructions`, instructions);
  }
  const count = instructions.length;
  const bytes = new Uint8Array(count * 8);
  const codes = new Uint16Array(bytes.buffer);
  const operands = new Uint32Array(bytes.buffer);
  // Array.from: forEach would skip a hole, and leave an instruction of zeros.
  Array.from(instructions as readonly BpfInstruction[]).forEach((instruction, i) => {
    const name = `instructions[${i}]`;
    optionsOf(name, instruction, FIELDS);
    const code = integer(`${name}.code`, instruction.code, 0, 0xffff);
    const jumps = (code & CLASS) === BPF.JMP;
    const always = jumps && (code & 0xf0) === BPF.JA;
    const left = count - 1 - i;
    const furthest = jumps && !always ? Math.min(255, Math.max(0, left - 1)) : 255;
    codes[i * 4] = code;
    bytes[i * 8 + 2] = integer(`${name}.jt`, instruction.jt ?? 0, 0, furthest);
    bytes[i * 8 + 3] = integer(`${name}.jf`, instruction.jf ?? 0, 0, furthest);
    const largest = always ? Math.max(0, left - 1) : 0xffff_ffff;
    operands[i * 2 + 1] = integer(`${name}.k`, instruction.k ?? 0, 0, largest);
    if (left === 0 && (code & CLASS) !== BPF.RET) {
      throw wrongType(name, 'a return instruction, as the last one', instruction.code);
    }
  });
  return bytes;
}
