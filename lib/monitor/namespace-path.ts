/**
 * Network namespaces as the command line names them.
 * @module
 */
import { resolve } from 'node:path';
import { NAMED } from './namespace-watch.ts';

/** Path of a namespace given on the command line: a name, or a path. */
export const namespacePath = (name: string): string =>
  name.includes('/') ? resolve(name) : `${NAMED}/${name}`;
