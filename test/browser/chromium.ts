/** Chromium without a screen: Debian's, fetched as the lab fetches its programs, and driven by playwright-core. */
import { delimiter, join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';
import { fetchLabTools } from '../../lib/lab/index.ts';

const PACKAGES = [
  'chromium-headless-shell',
  'chromium-common',
  'fontconfig-config',
  'fonts-dejavu-core',
];

/** Debian's program finds these by its own path to libraries, not by the general one. */
const PRIVATE = 'usr/lib/x86_64-linux-gnu/pulseaudio';

/** Starts the browser. */
export async function launchChromium(): Promise<Browser> {
  const { root, env } = await fetchLabTools(PACKAGES, {
    progress: (text) => console.error(text),
  });
  return chromium.launch({
    executablePath: join(root, 'usr/lib/chromium/chromium-headless-shell'),
    // Its sandbox needs user namespaces, or a program with setuid root. It shows this project's page only.
    chromiumSandbox: false,
    env: {
      ...(process.env as Record<string, string>),
      ...env,
      LD_LIBRARY_PATH: [env.LD_LIBRARY_PATH, join(root, PRIVATE)].join(delimiter),
      FONTCONFIG_SYSROOT: root,
    },
  });
}
