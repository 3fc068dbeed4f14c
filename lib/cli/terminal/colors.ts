/**
 * Colours for the parts of a line.
 * @module
 */
import type pc from 'picocolors';

export type Colors = ReturnType<typeof pc.createColors>;
