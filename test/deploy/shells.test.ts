/** Completion and the manual page in the programs that read them: Debian's, fetched as the lab fetches its kernels. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { wholeProgram } from '../../lib/cli/subcommands.ts';
import { fetchLabTools, type LabTools } from '../../lib/lab/index.ts';
import { manualPage } from '../../tools/manual.ts';
import { runCommand } from '../warm-command.ts';

let tools: LabTools;
const home = mkdtempSync(join(tmpdir(), 'netlink-xfrm-'));
before(async () => {
  tools = await fetchLabTools(['zsh', 'zsh-common', 'fish', 'fish-common', 'mandoc']);
});
after(() => rmSync(home, { recursive: true }));

function run(program: string, args: readonly string[], input = '') {
  const env = { ...process.env, ...tools.env, HOME: home, XDG_CONFIG_HOME: home, TERM: 'dumb' };
  const { stdout, stderr, status } = spawnSync(program, args, { input, encoding: 'utf8', env });
  return { stdout, stderr, status };
}

test('mandoc has nothing to say about the manual page, and shows it', async () => {
  const page = join(home, 'netlink-xfrm.1');
  writeFileSync(page, manualPage(await wholeProgram(), '1.2.3'));
  const { stdout, stderr } = run('mandoc', ['-T', 'lint', '-W', 'warning', page]);
  // The same package has the same page, whenever it is made.
  const told = `${stdout}${stderr}`.trim().split('\n');
  assert.deepEqual(
    told.filter((line) => !line.endsWith('WARNING: missing date, using "": TH')),
    [],
  );
  const { stdout: shown } = run('mandoc', ['-T', 'ascii', '-O', 'width=80', page]);
  // Bold characters are printed twice, with a backspace between.
  const lines = shown.split('\n').map((line) => line.split(/.[\b]/).join(''));
  assert.deepEqual(
    lines.filter((line) => line.length > 80),
    [],
  );
  assert(lines.some((line) => /^ +netlink-xfrm tunnels \[options\] \[filter\.\.\.\]$/.test(line)));
});

test('fish completes commands, options, values and filters', () => {
  const script = join(home, 'netlink-xfrm.fish');
  writeFileSync(script, runCommand(['completion', 'fish']).stdout);
  const offered = (line: string, before = '') => {
    const ask = `set fish_function_path ${tools.root}/usr/share/fish/functions; source ${script}; ${before} complete -C ${JSON.stringify(`netlink-xfrm ${line}`)}`;
    const { stdout, stderr, status } = run('fish', ['--no-config', '-c', ask]);
    assert.deepEqual({ stderr, status }, { stderr: '', status: 0 }, line);
    return stdout.split('\n').flatMap((one) => (one === '' ? [] : [one.split('\t')[0]]));
  };
  assert.deepEqual(offered('tun'), ['tunnels']);
  assert.deepEqual(offered('state --wat'), ['--watch']);
  assert.deepEqual(offered('state -o j'), ['json']);
  assert.deepEqual(offered('state proto=e'), ['proto=esp']);
  assert.deepEqual(offered('wait --for rek'), ['rekeying']);
  assert.deepEqual(offered('completion z'), ['zsh']);
  // A recording, then the peers of its tunnels.
  assert.deepEqual(offered('timeline /usr/bin/printen'), ['/usr/bin/printenv']);
  const says = `function netlink-xfrm; test "$argv" = 'tunnels --recording /usr/bin/printenv'; and echo 'up 192.0.2.1 > 198.51.100.7 esp'; end;`;
  assert.deepEqual(offered('timeline /usr/bin/printenv 198', says), ['198.51.100.7']);
});

test('zsh takes the completion as its own', () => {
  writeFileSync(join(home, '_netlink-xfrm'), runCommand(['completion', 'zsh']).stdout);
  const functions = join(tools.root, 'usr/share/zsh/functions');
  const modules = join(tools.root, 'usr/lib/x86_64-linux-gnu/zsh');
  const script = `
module_path=(${modules}/*(N))
fpath=(${home} ${functions}/**/*(/N) ${functions})
autoload -Uz compinit
compinit -u -D
print -- \${_comps[netlink-xfrm]}
autoload +X _netlink-xfrm && print loaded
`;
  const checked = run('zsh', ['-fn', join(home, '_netlink-xfrm')]);
  assert.deepEqual(checked, { stdout: '', stderr: '', status: 0 });
  const { stdout, stderr, status } = run('zsh', ['-f', '-s'], script);
  assert.deepEqual(
    { stdout, stderr, status },
    { stdout: '_netlink-xfrm\nloaded\n', stderr: '', status: 0 },
  );
});
