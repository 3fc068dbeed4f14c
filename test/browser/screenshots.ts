/**
 * Takes the pictures of docs/serve/, of tunnels in the lab that do for some minutes what tunnels do.
 *
 *   npm run screenshots
 * @module
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BrowserContextOptions } from 'playwright-core';
import { launchChromium } from './chromium.ts';
import { openGuest } from './host.ts';

const folder = join(import.meta.dirname, '../../../docs/serve');
const SITES = ['paris', 'rome', 'oslo', 'cairo', 'dakar', 'quito', 'tokyo', 'hanoi', 'delhi'];
/** What happens, in seconds after the start. The time axis is five minutes long. */
const STORY: readonly (readonly [at: number, what: () => Promise<unknown>])[] = [
  [70, () => guest.rekey('paris')],
  [95, () => guest.rekey('tokyo')],
  [120, () => guest.cut('rome')],
  [150, () => guest.rekey('delhi')],
  [165, () => guest.mend('rome')],
  [190, () => guest.rekey('paris')],
  [215, () => guest.rekey('hanoi')],
  [240, () => guest.rekey('tokyo')],
  [262, () => guest.cutInbound('dakar')],
  [275, () => guest.expire('cairo')],
  [290, () => guest.rekey('rome')],
  [310, () => guest.rekey('paris')],
  [325, () => guest.cut('oslo')],
  [335, () => guest.rekey('delhi')],
];

const [lab, browser] = await Promise.all([openGuest(), launchChromium()]);
const { guest } = lab;
const lifetime = { softAddSeconds: 3000, hardAddSeconds: 3600, hardBytes: 40_000_000 };
// Nobody answers to its soft limit.
const ending = { softAddSeconds: 260, hardAddSeconds: 900 };
for (const name of SITES) {
  await guest.addSite(name, { state: { lifetime: name === 'quito' ? ending : lifetime } });
}
const expected = [...SITES, 'lima'].flatMap((name, i) => [
  '--expect',
  `${name}=198.51.100.${i + 1}`,
]);
await guest.startDaemon(...expected);

const start = Date.now();
const seconds = () => (Date.now() - start) / 1000;
let ended = false;
/** Traffic that comes and goes. */
const traffic = (async () => {
  while (!ended) {
    for (const [i, name] of SITES.entries()) {
      const wave = 1 + Math.sin(seconds() / (12 + 3 * i) + i);
      await guest.traffic(name, 1 + Math.round(6 * wave * (1 + (i % 3))), 200 + 100 * i);
    }
  }
})();
for (const [at, what] of STORY) {
  await sleep(Math.max(0, at - seconds()) * 1000);
  await what();
}
await sleep(Math.max(0, 345 - seconds()) * 1000);

const WIDE = { viewport: { width: 1200, height: 860 } };
const PICTURES: Record<string, BrowserContextOptions & { view?: string; full?: true }> = {
  light: { ...WIDE, colorScheme: 'light' },
  dark: { ...WIDE, colorScheme: 'dark' },
  phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, colorScheme: 'dark' },
  details: { viewport: { width: 1200, height: 800 }, view: '#/tunnel/rome', full: true },
};
mkdirSync(folder, { recursive: true });
for (const [name, { view = '', full = false, ...options }] of Object.entries(PICTURES)) {
  const context = await browser.newContext({ locale: 'en', ...options });
  const page = await context.newPage();
  await page.goto(lab.url + view);
  await page.getByLabel('Time axis').selectOption('5 min');
  await page
    .locator(view === '' ? '[data-tunnel=delhi]' : '[data-spi]')
    .first()
    .waitFor();
  // The history has come once the picture is said to have passed packets.
  await page.locator('[aria-label*="passed packets"]').first().waitFor();
  await page.screenshot({
    path: join(folder, `${name}.png`),
    fullPage: full,
    animations: 'disabled',
  });
  await context.close();
}
ended = true;
await traffic;
await browser.close();
await lab[Symbol.asyncDispose]();
