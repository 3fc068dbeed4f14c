/**
 * The kind of processor that a run is made on: results of different kinds are not comparable.
 * @module
 */
import { readFileSync } from 'node:fs';

/** Virtual machines report names such as "AMD EPYC" for several generations; family and model tell them apart. */
const FIELDS = ['model name', 'cpu family', 'model'] as const;
/** Page-table isolation makes each system call dearer (Documentation/arch/x86/pti.rst). */
const ISOLATION = '/sys/devices/system/cpu/vulnerabilities/meltdown';

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // not on every architecture
  }
}

/** @param cpuinfo the text of /proc/cpuinfo @param meltdown how the kernel mitigates Meltdown */
export function processorKind(cpuinfo = read('/proc/cpuinfo'), meltdown = read(ISOLATION)): string {
  const [name, family, model] = FIELDS.map(
    (field) => new RegExp(`^${field}\\s*: (.*)$`, 'm').exec(cpuinfo)?.[1]?.trim() ?? '?',
  );
  const isolated = meltdown.includes('PTI') ? ', page-table isolation' : '';
  return `${name}, family ${family}, model ${model}${isolated}`;
}
