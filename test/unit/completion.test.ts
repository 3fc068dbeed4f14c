/** Help, suggestions, completion and the manual page: what the definitions of the commands are made into. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { SUBCOMMANDS, wholeProgram } from '../../lib/cli/subcommands.ts';
import { fitHelp } from '../../lib/cli/text/help.ts';
import { manualPage } from '../../tools/manual.ts';
import { runCommand } from '../warm-command.ts';

const NAMES = Object.keys(SUBCOMMANDS);

test('every help text fits 80 columns', () => {
  for (const name of NAMES) {
    const { stdout, status } = runCommand([name, '--help']);
    assert.equal(status, 0, name);
    assert.match(stdout, /^Usage: netlink-xfrm /, name);
    const wide = stdout.split('\n').filter((line) => line.length > 80);
    assert.deepEqual(wide, [], name);
  }
});

test('paragraphs of a help text are filled, entries continue below their text', () => {
  const text =
    'One two three\nfour five six seven eight nine ten:\n  key  a b c d e f g h i j k l m n o p q r s t\n\n  x\n';
  assert.deepEqual(fitHelp(text, 40).split('\n'), [
    'One two three four five six seven eight',
    'nine ten:',
    '  key  a b c d e f g h i j k l m n o p q',
    '       r s t',
    '',
    '  x',
    '',
  ]);
});

test('words of other tools are understood', () => {
  for (const [word, meant] of [
    ['top', 'tunnels --watch'],
    ['status', 'tunnels'],
    ['list', 'tunnels, or state, or policy'],
    ['sa', 'state'],
    ['watch', 'monitor'],
    ['prometheus', 'serve'],
    ['dump', 'replay'],
    ['tunels', 'tunnels'],
  ]) {
    const { stderr, status } = runCommand([word ?? '']);
    assert.equal(status, 2);
    assert(
      stderr.startsWith(`error: unknown command '${word}'\n(Did you mean ${meant}?)\n`),
      stderr,
    );
  }
  assert.match(runCommand(['flush']).stderr, /only shows; `ip xfrm` changes SAs and policies/);
  assert.match(runCommand(['route', 'lnk']).stderr, /shows IPsec only, `ip route` the rest/);
  assert.match(runCommand(['tunnels', '--jsno']).stderr, /\(Did you mean --json\?\)/);
  assert.match(runCommand(['xyzzy']).stderr, /^error: unknown command 'xyzzy'\n\(see --help\)\n$/);
});

/** What bash would offer after these words. */
function offered(script: string, line: string, before = ''): string[] {
  const typed = `netlink-xfrm ${line}`;
  const ask = `COMP_LINE='${typed}' COMP_POINT=${typed.length} COMPREPLY=(); _netlink_xfrm; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr, status } = spawnSync(
    'bash',
    ['--norc', '-c', `${script}${before} ${ask}`],
    {
      encoding: 'utf8',
    },
  );
  assert.equal(stderr, '', line);
  assert.equal(status, 0, line);
  return stdout.split('\n').filter((one) => one !== '');
}

test('bash completes commands, options, values and filters', () => {
  const { stdout: script } = runCommand(['completion', 'bash']);
  const { stderr, status } = spawnSync('bash', ['-n'], { input: script, encoding: 'utf8' });
  assert.deepEqual({ stderr, status }, { stderr: '', status: 0 });
  const cases: [line: string, offers: readonly string[]][] = [
    ['', [...NAMES, 'help']],
    ['tun', ['tunnels']],
    ['--ver', ['--version']],
    ['state --w', ['--watch']],
    ['state -o ', ['text', 'json']],
    ['state --color=al', ['always']],
    ['state pr', ['proto=']],
    // Bash takes what is behind = and , as words of their own.
    ['state proto=e', ['esp']],
    ['state proto!=esp,a', ['esp,any', 'esp,ah']],
    ['state spi=', []],
    ['tunnels --watch state=d', ['down']],
    ['tunnels change=re', ['rekeyed', 'replaced', 'removed']],
    ['monitor sa exp', ['expire']],
    ['wait --for r', ['rekeying']],
    ['wait --timeout ', []],
    ['completion ', ['bash', 'zsh', 'fish']],
    ['help mon', ['monitor']],
    ['test -- printenv', ['printenv']],
  ];
  for (const [line, offers] of cases) {
    assert.deepEqual(new Set(offered(script, line)), new Set(offers), line);
  }
  // Files, where one is expected.
  assert.deepEqual(offered(script, 'replay bi', 'cd /usr;'), ['bin']);
  // Another choice of word breaks.
  assert.deepEqual(offered(script, 'state proto=e', "COMP_WORDBREAKS=' ';"), ['proto=esp']);
});

test('bash completes the peers of tunnels', () => {
  const { stdout: script } = runCommand(['completion', 'bash']);
  const lines = [
    'up 192.0.2.1 > 198.51.100.7 esp tunnel reqid 1 since 2026-01-01T00:00:00Z',
    'down rome any > 203.0.113.1 reason "no SAs or policies"',
    'idle 2001:db8::1 <> 2001:db8::2 esp',
  ];
  const fake = `netlink-xfrm() { printf '%s\\n' ${lines.map((one) => `'${one}'`).join(' ')}; };`;
  assert.deepEqual(offered(script, 'wait --for up 1', fake), ['198.51.100.7']);
  assert.deepEqual(offered(script, 'wait 203', fake), ['203.0.113.1']);
  // Without the parts that bash has split off.
  assert.deepEqual(offered(script, 'wait 2001:db8:', fake), [':2']);
  // Those of a recording, after it.
  const recorded = `netlink-xfrm() { [[ "$*" == 'tunnels --recording /usr/bin/printenv' ]] && printf '%s\\n' '${lines[0]}'; };`;
  assert.deepEqual(offered(script, 'timeline /usr/bin/printenv 1', recorded), ['198.51.100.7']);
  assert.deepEqual(offered(script, 'timeline --json /usr/bin/printen', recorded), [
    '/usr/bin/printenv',
  ]);
  assert.deepEqual(offered(script, 'diff /usr/bin/printen', recorded), ['/usr/bin/printenv']);
});

test('the scripts for the shells and the manual page have all commands and options', async () => {
  const program = await wholeProgram();
  const page = manualPage(program, '1.2.3');
  const scripts = ['bash', 'zsh', 'fish'].map((shell) => runCommand(['completion', shell]).stdout);
  for (const command of program.commands) {
    const name = command.name();
    assert.match(page, new RegExp(`^\\.SS ${name}$`, 'm'));
    for (const { long, hidden } of command.options) {
      if (hidden) continue;
      const option = long?.slice(2) ?? '';
      assert(page.includes(`\\fB${long?.replaceAll('-', '\\-')}\\fR`), `${name} ${long}`);
      for (const script of scripts) assert(script.includes(option), `${name} ${long}`);
    }
  }
  // A word that begins a line with a dot would be lost.
  const REQUESTS = /^\.(TH|SH|SS|TP|PP|in|nf|fi)\b/;
  for (const line of page.split('\n')) {
    assert(!/^[.']/.test(line) || REQUESTS.test(line), line);
    assert.match(line, /^[ -~]*$/);
  }
});
