/**
 * A kernel with IPsec anywhere: fetches Debian's user-mode-linux, boots it as an ordinary program
 * without root, and runs a command in it. Stands alone; see docs/lab.md.
 */
export { LabError, type LabErrorCode } from './errors.ts';
export { listGuests, stopGuests } from './kept.ts';
export type { KeptGuest } from './kept-messages.ts';
export { type KernelKind, type LabKernel, listLab, type PrepareOptions } from './kernel.ts';
export { type Lab, openLab } from './open.ts';
export type { CommandOptions, GuestOptions, LabOptions, LabOutput } from './options.ts';
export { type LabResult, prepareLab } from './run.ts';
export { runInLab } from './run-in-lab.ts';
export { fetchTools, type LabTools, type ToolsOptions } from './tools.ts';
