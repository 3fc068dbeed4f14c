/** How a kernel was built, and which of its modules are here. @module */
import { existsSync, readFileSync } from 'node:fs';
import { release } from 'node:os';

/** `y` built in, `m` a module, `n` neither. */
export type OptionValue = 'y' | 'm' | 'n';

/** Parses a kernel configuration; options with other values are left out. */
export function parseKernelConfig(text: string): Map<string, OptionValue> {
  const found = new Map<string, OptionValue>();
  for (const [, name = '', value] of text.matchAll(/^CONFIG_(\w+)=([ym])$/gm)) {
    found.set(name, value as OptionValue);
  }
  return found;
}

/** The names of modules in a modules.dep, modules.builtin or /proc/modules, with `_` for `-`. */
export const parseModules = (text: string): Set<string> =>
  new Set(
    Array.from(text.matchAll(/^(?:\S*\/)?([\w-]+)(?:\.ko\S*)?(?=[:\s]|$)/gm), ([, name = '']) =>
      name.replaceAll('-', '_'),
    ),
  );

/** Reads a file that may be missing, unreadable or damaged. */
function attempt<Result>(read: () => Result): Result | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** Loaded only for this. */
const unzipped = (path: string): string =>
  process.getBuiltinModule('node:zlib').gunzipSync(readFileSync(path)).toString('latin1');

/** What is known about the kernel, as far as this container shows it. */
export class KernelConfig {
  /** Where the configuration was found; undefined if nowhere. */
  readonly path: string | undefined;
  readonly #options: Map<string, OptionValue> | undefined;
  readonly #loaded: Set<string>;
  readonly #here: Set<string>;
  readonly #onHost: string;

  /** @param inContainer whether modules have to be loaded outside */
  constructor(inContainer: boolean) {
    const name = release();
    const read = (path: string) => attempt(() => readFileSync(path, 'latin1'));
    const places: [path: string, text: () => string | undefined][] = [
      ['/proc/config.gz', () => unzipped('/proc/config.gz')],
      ...[
        `/boot/config-${name}`,
        `/lib/modules/${name}/config`,
        `/usr/lib/ostree-boot/config-${name}`,
      ].map((path): [string, () => string | undefined] => [path, () => read(path)]),
    ];
    for (const [path, text] of places) {
      const found = attempt(text);
      if (found === undefined) continue;
      this.path = path;
      this.#options = parseKernelConfig(found);
      break;
    }
    this.#loaded = parseModules(read('/proc/modules') ?? '');
    this.#here = parseModules(read(`/lib/modules/${name}/modules.dep`) ?? '');
    this.#onHost = inContainer ? 'on the host: ' : '';
  }

  /** Undefined if the configuration is not readable. */
  option(name: string): OptionValue | undefined {
    return this.#options && (this.#options.get(name) ?? 'n');
  }

  /** `CONFIG_INET_ESP=m (not loaded)`; empty if nothing is known. */
  describe(option: string, module: string): string {
    const value = this.option(option);
    if (value === undefined) return this.#loaded.has(module) ? `module ${module} is loaded` : '';
    if (value === 'n') return `CONFIG_${option} is not set`;
    if (value === 'y') return `CONFIG_${option}=y`;
    return `CONFIG_${option}=m (${this.#loaded.has(module) ? 'loaded' : 'not loaded'})`;
  }

  /** How to get what an option provides. */
  remedy(option: string, module: string): string {
    const value = this.option(option);
    const load = `${this.#onHost}modprobe ${module}`;
    if (value === 'n') {
      return `use a kernel with CONFIG_${option}; to try it and for tests: netlink-xfrm lab -- COMMAND`;
    }
    if (value === 'y') return 'look for the reason: dmesg';
    if (this.#here.has(module)) return load;
    const extra = `the package with the other modules (linux-modules-extra-${release()}, kernel-modules-extra)`;
    return `${load}; if there is no such module, install ${extra}, or use another kernel (netlink-xfrm lab)`;
  }

  /** How to get several: by options, the modules that provide them. */
  remedies(wanted: ReadonlyMap<string, string>): string {
    const lacking = [...wanted.keys()].filter((option) => this.option(option) === 'n');
    const load = [...wanted].flatMap(([option, module]) =>
      lacking.includes(option) ? [] : module,
    );
    return [
      ...(load.length > 0 ? [`${this.#onHost}modprobe -a ${load.join(' ')}`] : []),
      ...(lacking.length > 0
        ? [`use a kernel with ${lacking.map((one) => `CONFIG_${one}`).join(', ')}`]
        : []),
    ].join('; ');
  }
}

/** Whether this process is in a container, as far as its engine tells. */
export const isContainer = (): boolean =>
  existsSync('/run/.containerenv') ||
  existsSync('/.dockerenv') ||
  process.env.container !== undefined ||
  process.env.KUBERNETES_SERVICE_HOST !== undefined;
