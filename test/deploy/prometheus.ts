/** Prometheus and promtool: Debian's, fetched as the lab fetches its kernels. @module */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { fetchLabTools } from '../../lib/lab/tools.ts';
import { root } from './support.ts';

export const RULES = join(root, 'contrib/prometheus-rules.yml');

/** The folder with both programs. */
export const fetchPrometheus = async (): Promise<string> =>
  join((await fetchLabTools(['prometheus'])).root, 'usr/bin');

/** What promtool says to these arguments; it must succeed. */
export async function promtool(args: readonly string[], input = ''): Promise<string> {
  const program = join(await fetchPrometheus(), 'promtool');
  const { status, stdout, stderr } = spawnSync(program, args, { input, encoding: 'utf8' });
  if (status !== 0) throw new Error(`promtool ${args.join(' ')}: ${stdout}${stderr}`);
  return stdout + stderr;
}

export interface Rule {
  readonly alert?: string;
  readonly record?: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels?: { readonly severity: string };
  readonly annotations?: { readonly summary: string; readonly description: string };
}

export interface RuleFile {
  readonly groups: readonly { readonly name: string; readonly rules: readonly Rule[] }[];
}

export const readRules = (): RuleFile => parse(readFileSync(RULES, 'utf8'));
