/**
 * The scenes on which contestants are compared.
 * @module
 */
import { join } from 'node:path';
import { XFRMNLGRP_POLICY, XFRMNLGRP_SA } from '../lib/constants.ts';
import type { Scene } from './compare.ts';

/** A recorded NEWSA of 352 bytes: an ESP tunnel with AES-GCM. */
const RECORDED = join(
  import.meta.dirname,
  '../../test/fixtures/captures/uml-6.1/newsa_v4_tunnel_aead.event0.hex',
);

const MIB = 2 ** 20;
/** The default of subscribe(). */
const BUFFER = 64 * MIB;
/** SAs and policies. */
export const groups = (1 << (XFRMNLGRP_SA - 1)) | (1 << (XFRMNLGRP_POLICY - 1));

/** Policies added and deleted as fast as the kernel accepts them. */
export const policies: Scene = {
  name: 'policies',
  title: 'Policies added and deleted, live',
  load: (events) => ['policy', `${events}`],
  listening: { buffer: BUFFER, groups, source: 'kernel' },
};

/** The same at a rate that a listener can keep up with on machines with a faster kernel. */
export const policiesPaced: Scene = {
  ...policies,
  name: 'policies-paced',
  title: 'Policies added and deleted, 450,000 a second',
  rate: 450_000,
};

/** The recorder at the rate that it is made for, next to a receiver that keeps nothing. */
export const policiesRecorded: Scene = {
  ...policies,
  name: 'policies-recorded',
  title: 'Policies added and deleted, 100,000 a second',
  rate: 100_000,
  only: ['floor', 'raw', 'record'],
};

/** The same with everything queued beforehand: no wake-ups, no losses, so the clearest measure of the work. */
export const policiesFilled: Scene = {
  ...policies,
  name: 'policies-filled',
  title: 'Policies added and deleted, out of a filled socket',
  listening: { buffer: 1023 * MIB, groups, source: 'kernel' },
  filled: true,
};

// Without the command, which cannot be made to accept other processes' messages.
const library = ['floor', 'recvmsg', 'libnl', 'npm-netlink', 'raw', 'decoded', 'loop', 'monitor'];

/** Recorded NEWSA messages, sent by a process the way the kernel sends them. */
export const forged: Scene = {
  name: 'newsa',
  title: 'Recorded NEWSA events as multicasts of a process, live',
  load: (events) => ['forge', RECORDED, `${events}`],
  listening: { buffer: BUFFER, groups, source: 'any' },
  only: [...library, 'ip'],
};

export const forgedFilled: Scene = {
  ...forged,
  name: 'newsa-filled',
  title: 'Recorded NEWSA events, out of a filled socket',
  listening: { buffer: 1023 * MIB, groups, source: 'any' },
  filled: true,
};

/** SAs that the tables have, each updated again and again. */
export const updatesFilled: Scene = {
  ...forgedFilled,
  name: 'updsa-filled',
  title: 'Updates of 4,096 SAs, out of a filled socket',
  load: (events) => ['forge-updates', RECORDED, `${events}`],
  only: ['floor', 'raw', 'decoded', 'monitor', 'ip'],
};

/** SAs added and deleted, on a kernel with ESP. */
export const states: Scene = {
  name: 'sas',
  title: 'SAs added and deleted, in the lab’s kernel, live',
  load: (events) => ['sa', `${events}`],
  listening: { buffer: BUFFER, groups, source: 'kernel' },
};
