/** contrib/kubernetes.yaml, against the schemas and types of Kubernetes' objects, and the least rights. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { parseAllDocuments } from 'yaml';
import { root, temporary } from './support.ts';

const text = readFileSync(join(root, 'contrib/kubernetes.yaml'), 'utf8');
const modules: string = (await import(pathToFileURL(join(root, 'scripts/kept.mjs')).href)).kept(
  join(root, 'test/deploy/tools'),
  "the types of Kubernetes' objects",
);

interface Parsed {
  readonly kind: string;
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly hostNetwork: boolean;
        readonly securityContext: object;
        readonly containers: readonly [
          { readonly securityContext: object; readonly args: readonly string[] },
        ];
      };
    };
  };
}

const documents = (source: string) => parseAllDocuments(source).map((one) => one.toJS());

const { DaemonSet } = await import(
  pathToFileURL(join(modules, 'kubernetes-models/apps/v1/DaemonSet.js')).href
);

/** What Kubernetes would refuse: values by its schemas, properties that it does not know by its types. */
async function problems(source: string): Promise<string[]> {
  const folder = temporary();
  symlinkSync(modules, join(folder, 'node_modules'));
  const found: string[] = [];
  for (const [index, object] of documents(source).entries()) {
    assert.equal(object.kind, 'DaemonSet');
    try {
      new DaemonSet(object).validate();
    } catch (error) {
      found.push((error as Error).message);
    }
    const program = `import type { IDaemonSet } from 'kubernetes-models/apps/v1/DaemonSet';
export const object: IDaemonSet = ${JSON.stringify(object, null, 1)};\n`;
    writeFileSync(join(folder, `${index}.ts`), program);
  }
  const options = [
    '--noEmit',
    '--strict',
    '--skipLibCheck',
    '--module',
    'nodenext',
    '--ignoreConfig',
  ];
  const tsc = spawnSync(
    process.execPath,
    [join(root, 'node_modules/typescript/bin/tsc'), ...options, join(folder, '0.ts')],
    { encoding: 'utf8', cwd: folder },
  );
  if (tsc.status !== 0) found.push(tsc.stdout + tsc.stderr);
  return found;
}

test('Kubernetes takes it', async () => {
  assert.deepEqual(await problems(text), []);
});

test('what Kubernetes would refuse or ignore is found', async () => {
  const [wrong] = await problems(text.replace('add: [NET_ADMIN]', 'add: NET_ADMIN'));
  assert.match(wrong ?? '', /capabilities\/add must be array/);
  const [unknown] = await problems(
    text.replace('readOnlyRootFilesystem', 'readonlyRootFilesystem'),
  );
  assert.match(unknown ?? '', /readonlyRootFilesystem"' does not exist in type/);
});

test('it has the rights that it needs, and no others', () => {
  const [{ spec }] = documents(text) as [Parsed];
  const { hostNetwork, securityContext, containers, ...pod } = spec.template.spec;
  assert.equal(hostNetwork, true);
  assert.deepEqual(securityContext, {
    runAsNonRoot: true,
    runAsUser: 1000,
    runAsGroup: 1000,
    fsGroup: 1000,
    seccompProfile: { type: 'RuntimeDefault' },
  });
  assert.deepEqual(containers[0].securityContext, {
    readOnlyRootFilesystem: true,
    allowPrivilegeEscalation: true,
    capabilities: { drop: ['ALL'], add: ['NET_ADMIN'] },
  });
  assert.doesNotMatch(JSON.stringify(pod), /hostPath|hostPID|hostIPC|serviceAccountName/);
});
