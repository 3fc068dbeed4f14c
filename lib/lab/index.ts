/**
 * A kernel with IPsec anywhere: fetches Debian's user-mode-linux, boots it as an ordinary program without root, and runs
 * a command in it. It does not depend on the rest of the library; see docs/lab.md.
 */
export { LabError, type LabErrorCode } from './errors.ts';
export { listLabGuests, stopLabGuests } from './kept.ts';
export type { KeptLabGuest } from './kept-messages.ts';
export {
  type LabKernel,
  type LabKernelKind,
  listLabKernels,
  type PrepareLabOptions,
} from './kernel.ts';
export { type Lab, openLab } from './open.ts';
export type { LabCommandOptions, LabGuestOptions, LabOptions, LabOutput } from './options.ts';
export { type LabResult, prepareLab } from './run.ts';
export { runInLab } from './run-in-lab.ts';
export { fetchLabTools, type LabTools, type LabToolsOptions } from './tools.ts';
