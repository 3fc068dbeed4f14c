/** What the daemon answers about the host. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostJson } from '../../lib/serve/api.ts';
import type { Service } from '../../lib/serve/service.ts';
import { leak, NOW } from './tunnel-samples.ts';

test('the host has the warnings that are not about one tunnel', () => {
  const source = { syncedAt: NOW, overruns: 0, repairs: 0 };
  const state = { state: 'synced', reason: undefined };
  const service = {
    startedAt: NOW,
    config: { refresh: 10_000 },
    namespaces: [
      { name: null, state, source: { ...source, monitor: { warnings: [leak] } } },
      { name: 'red', state, source: { ...source, monitor: undefined } },
    ],
  } as unknown as Service;
  const { namespaces } = JSON.parse(hostJson(service, '1.2.3', 'gw'));
  const [{ kind, what, text, since }] = namespaces[0].warnings;
  assert.deepEqual({ kind, what, text, since }, { ...pick(leak), since: leak.since.wall });
  assert.deepEqual(namespaces[1].warnings, []);
});

const pick = ({ kind, what, text }: typeof leak) => ({ kind, what, text });
