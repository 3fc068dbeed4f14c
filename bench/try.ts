import { join } from 'node:path';
import { compare } from './compare.ts';
import { compileAll } from './native.ts';
import { median, ratios, spread } from './stats.ts';
const [kind, events = '200000', rounds = '3', only] = process.argv.slice(2);
console.error(await compileAll());
const file = join(import.meta.dirname, '../../test/fixtures/captures/uml-6.1/newsa_v4_tunnel_aead.event0.hex');
const buffer = kind === 'drain' ? 512 * 2 ** 20 : 64 * 2 ** 20;
const scene = kind === 'policy'
  ? { name: 'policy', title: '', load: (n: number) => ['policy', `${n}`], listening: { buffer, groups: 12, source: 'kernel' as const } }
  : { name: kind!, title: '', load: (n: number) => ['forge', file, `${n}`], listening: { buffer, groups: 12, source: 'any' as const }, ...(kind === 'drain' ? { filled: true as const } : {}) };
const c = await compare({ ...scene, ...(process.env.FILLED ? { ...(process.env.FILLED === '1' ? { filled: true as const } : {}), listening: { buffer: 1000 * 2 ** 20, groups: 12, source: 'kernel' as const } } : {}), ...(only ? { only: only.split(',') } : kind === 'policy' ? {} : { only: ['floor', 'libnl', 'npm-netlink', 'raw', 'decoded', 'loop', 'monitor', 'ip'] }) }, Number(events), Number(rounds), () => {});
for (const o of c.outcomes) {
  const base = c.outcomes.find((x) => x.name === o.base)!;
  console.log(o.name.padEnd(12), median(o.cpu).toFixed(2), 'x', spread(ratios(o.cpu, base.cpu)).median.toFixed(2), ratios(o.cpu, base.cpu).map((x) => x.toFixed(2)).join(' '), 'lost', o.lost.join(' '), 'rate', o.rate.map((x) => (x / 1e6).toFixed(2)).join(' '));
}
