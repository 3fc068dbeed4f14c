/**
 * A kernel with IPsec anywhere: fetches Debian's user-mode-linux, boots it as an ordinary program
 * without root, and runs a command in it. Stands alone; see docs/lab.md.
 */
export { LabError, type LabErrorCode } from './errors.ts';
export { type KernelKind, type LabKernel, listLab, type PrepareOptions } from './kernel.ts';
export type { LabOptions, LabOutput } from './options.ts';
export { type LabResult, prepareLab, runInLab } from './run.ts';
export { fetchTools, type LabTools, type ToolsOptions } from './tools.ts';
