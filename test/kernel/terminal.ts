/**
 * The command on a terminal: a pseudo-terminal that `script` makes, and an emulator that says what is on
 * its screen.
 * @module
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach } from 'node:test';
import xterm from '@xterm/headless';
import { env, program } from './command.ts';

const running = new Set<ChildProcess>();
afterEach(() => {
  for (const child of running) child.kill('SIGKILL');
  running.clear();
});

/** Milliseconds after which what does not show up never will, also on a slow machine. */
const PATIENCE = 600_000;

const quote = (word: string) => `'${word.replaceAll("'", `'\\''`)}'`;

interface TerminalOptions {
  readonly columns?: number;
  readonly rows?: number;
  /** Added to the environment. */
  readonly more?: NodeJS.ProcessEnv;
  /** What runs the command: a program and its first arguments. */
  readonly by?: readonly string[];
}

/** A terminal on which the command runs. */
export class TestTerminal {
  readonly #terminal: InstanceType<typeof xterm.Terminal>;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  #device: string | undefined;
  #status: number | undefined;
  #output = '';

  /** Starts the command with these arguments. */
  constructor(
    args: readonly string[],
    { columns = 100, rows = 12, more = {}, by = [] }: TerminalOptions = {},
  ) {
    this.#terminal = new xterm.Terminal({ cols: columns, rows, allowProposedApi: true });
    const shell = ['sh', '-c', 'echo before $$; exec "$@"', 'sh'];
    const words = [...shell, ...by, process.execPath, program, ...args].map(quote).join(' ');
    // The shell stays, to say how it ended, and whether keys are whole lines again (icanon).
    const line = [
      `stty rows ${rows} cols ${columns}; tty`,
      words,
      "echo status=$?; stty -a | grep -o -- '-*icanon'",
    ].join('; ');
    const settings = { env: { ...env, TERM: 'xterm', ...more } };
    this.#child = spawn('script', ['-qc', line, '/dev/null'], settings);
    running.add(this.#child);
    this.#exited = once(this.#child, 'close');
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
      this.#terminal.write(text);
      this.#device ??= /\/dev\/pts\/\d+/.exec(this.#output)?.[0];
      const [, status] = /status=(\d+)/.exec(this.#output) ?? [];
      if (status !== undefined) this.#status = Number(status);
    });
  }

  /** All that was written, with ␛ for each escape. */
  get output(): string {
    return this.#output.replaceAll('\x1b', '␛');
  }

  /** What is on the screen now, line by line. */
  async screen(): Promise<string[]> {
    // After all that was written before.
    await new Promise<void>((resolve) => this.#terminal.write('', resolve));
    const { buffer, rows } = this.#terminal;
    const lines = Array.from({ length: rows }, (_, i) =>
      buffer.active.getLine(buffer.active.baseY + i)?.translateToString(true),
    );
    return lines.map((line) => line ?? '');
  }

  /** Until the screen shows something. */
  async shows(wanted: RegExp): Promise<string[]> {
    for (const until = Date.now() + PATIENCE; ; ) {
      const lines = await this.screen();
      if (wanted.test(lines.join('\n'))) return lines;
      if (Date.now() > until) throw new Error(`no ${wanted} in\n${lines.join('\n')}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** Until a text was written so many times. */
  async writes(text: string, times: number): Promise<void> {
    for (const until = Date.now() + PATIENCE; this.output.split(text).length <= times; ) {
      if (Date.now() > until) throw new Error(`${text} was not written ${times} times`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  press(keys: string): void {
    this.#child.stdin?.write(keys);
  }

  /** As when somebody drags the window's corner. */
  resize(columns: number, rows: number): void {
    execFileSync('stty', ['-F', this.#device ?? '', 'rows', `${rows}`, 'cols', `${columns}`]);
    this.#terminal.resize(columns, rows);
  }

  /** Sends a signal to the command itself. */
  signal(signal: NodeJS.Signals): void {
    const [, pid] = /before (\d+)/.exec(this.#output) ?? [];
    process.kill(Number(pid), signal);
  }

  /** The command's exit status, when it has ended by itself. */
  async ended(): Promise<number | undefined> {
    await this.#exited;
    return this.#status;
  }
}
