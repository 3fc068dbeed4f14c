/**
 * The page in Chromium, against the daemon in the lab's kernel with real tunnels. What is asserted is what the page
 * shows: it is waited for.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import axe from 'axe-core';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { launchChromium } from './chromium.ts';
import { type GuestHost, openGuest } from './host.ts';

/** Of the browser, in functions that run there. The types of the DOM would be those of all of lib/, too. */
// biome-ignore lint/suspicious/noExplicitAny: see above
type Any = any;
declare const document: Any;
declare const window: Any;
declare const MutationObserver: Any;
declare const HTMLElement: Any;

let lab: GuestHost;
let browser: Browser;
const EXPECTED = [
  ...['--expect', 'paris=198.51.100.1', '--expect', 'rome=198.51.100.2'],
  ...['--expect', 'lima=203.0.113.9'],
];

before(async () => {
  [lab, browser] = await Promise.all([openGuest(), launchChromium()]);
  // paris has limits, which its detail page shows.
  const lifetime = { softAddSeconds: 3000, hardAddSeconds: 3600, hardBytes: 1_000_000_000 };
  await lab.guest.addSite('paris', { state: { lifetime } });
  await lab.guest.addSite('rome', {});
  await lab.guest.addSite('oslo', {});
  await lab.guest.startDaemon(...EXPECTED);
});
after(async () => {
  await browser?.close();
  await lab?.[Symbol.asyncDispose]();
});

interface Opened extends AsyncDisposable {
  readonly page: Page;
}

const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true } as const;

/** Opens the page at a view. At the end there must have been no error, and no request to anywhere else. */
async function open(
  view = '',
  options: BrowserContextOptions = {},
  url = lab.url,
): Promise<Opened> {
  const context = await browser.newContext({ locale: 'en', ...options });
  const page = await context.newPage();
  const wrong: string[] = [];
  // A connection that is refused, and an answer that asks for a token, are what some tests are about.
  page.on('console', (one) => {
    if (one.type() === 'error' && !/Failed to load resource/.test(one.text()))
      wrong.push(one.text());
  });
  page.on('pageerror', (error) => wrong.push(error.stack ?? error.message));
  page.on('request', (request) => {
    if (!request.url().startsWith(url)) wrong.push(`asked ${request.url()}`);
  });
  await page.goto(url + view);
  return {
    page,
    async [Symbol.asyncDispose]() {
      await context.close();
      assert.deepEqual(wrong, []);
    },
  };
}

const row = (page: Page, name: string) => page.locator(`tr[data-tunnel="${name}"]`);
const badge = (page: Page, state: string) => page.locator('#badge', { hasText: state });

/** Waits until a function of the page returns something truthy. */
const until = (page: Page, what: () => unknown) => page.waitForFunction(what);

/** Follows the log: each entry with its own time, and the time at which it was drawn. */
async function follow(page: Page): Promise<void> {
  await page.evaluate(() => {
    const seen: { what: string | undefined; late: number }[] = [];
    window.seen = seen;
    new MutationObserver((all: Any) => {
      for (const { addedNodes } of all) {
        for (const node of addedNodes) {
          if (!(node instanceof HTMLElement)) continue;
          const rows = node.matches('tr') ? [node] : node.querySelectorAll('tbody tr');
          for (const one of rows) {
            const at = Date.parse(one.querySelector('time')?.dateTime ?? '');
            seen.push({ what: one.dataset.what, late: Date.now() - at });
          }
        }
      }
    }).observe(document.body, { subtree: true, childList: true });
  });
}

/** Makes something happen until the page has shown one such event less than a second after its time. */
async function seenWithinASecond(page: Page, what: string, act: () => Promise<unknown>) {
  const late: number[] = [];
  // A machine that is busy with other things may be late, but not every time.
  for (let attempt = 0; attempt < 5; attempt++) {
    const before = late.length;
    await act();
    const seen = await page.waitForFunction(
      ([what, before]) => {
        const found = window.seen.filter((one: Any) => one.what === what);
        return found.length > before && found.map((one: Any) => one.late);
      },
      [what, before] as const,
    );
    late.splice(0, Infinity, ...((await seen.jsonValue()) as number[]));
    if ((late.at(-1) as number) < 1000) return;
  }
  assert.fail(`${what} was shown ${late} ms after it happened`);
}

test('all tunnels of the host are listed, worst first, with why', async () => {
  await using opened = await open();
  const { page } = opened;
  await row(page, 'oslo').or(page.getByText('192.0.2.1 → 198.51.100.3')).waitFor();
  const rows = await page.locator('tr[data-tunnel]').allInnerTexts();
  assert.equal(rows.length, 4);
  assert.match(rows[0] ?? '', /^down\s.*lima.*any → 203\.0\.113\.9.*no SAs or policies/s);
  for (const text of rows.slice(1)) assert.match(text, /^up\s/);
  await badge(page, 'synced').waitFor();
  assert.match(await page.title(), /^\(1\) /);
});

test('a rekey is seen within a second, in the log, the list and the details', async () => {
  await using opened = await open('#/log');
  const { page } = opened;
  await badge(page, 'synced').waitFor();
  await follow(page);
  await seenWithinASecond(page, 'rekeyed', () => lab.guest.rekey('paris'));
  const text = await page.locator('tr[data-what=rekeyed]').first().innerText();
  const [spi] = /out esp 0x[0-9a-f]{8} → (0x[0-9a-f]{8})/.exec(text)?.slice(1) ?? [];
  assert(spi, text);
  await page.getByRole('link', { name: 'paris' }).first().click();
  await page.locator(`[data-spi="${spi}"]`).waitFor();
  await page.getByRole('link', { name: 'All tunnels' }).click();
  await row(page, 'paris').getByText(/rekey/).waitFor();
  const picture = row(page, 'paris').getByRole('img');
  await picture.and(page.locator('[aria-label*="rekey"]')).waitFor();
  // The steps of a rekey are heard, too: it is up again.
  await row(page, 'paris').locator('.mark.up').waitFor();
});

test('a tunnel that goes down is seen within a second, first in the list, with the reason', async () => {
  await using opened = await open('#/log');
  const { page } = opened;
  await badge(page, 'synced').waitFor();
  await follow(page);
  await seenWithinASecond(page, 'down', async () => {
    await lab.guest.mend('rome');
    await page.evaluate(() => {
      window.location.hash = '#/';
    });
    await row(page, 'rome').locator('.mark.up').waitFor();
    await page.evaluate(() => {
      window.location.hash = '#/log';
    });
    await page.getByRole('heading', { name: 'Events' }).waitFor();
    await lab.guest.cut('rome');
  });
  const entry = page.locator('tr[data-what=down]').first();
  assert.match(await entry.innerText(), /rome\s+down\s+blocked: deleted.*, was up/);
  // It is read out, and the title of a tab in the background tells of it.
  await page.locator('[aria-live=polite]', { hasText: 'rome down: blocked: deleted' }).waitFor();
  await until(page, () => document.title.startsWith('(2) '));
  await page.getByRole('link', { name: 'Tunnels' }).click();
  assert.match(
    await page.locator('tr[data-tunnel]').nth(1).innerText(),
    /rome.*policies, but no SAs/s,
  );
  const label = await row(page, 'rome').getByRole('img').getAttribute('aria-label');
  assert.match(label ?? '', /went down/);
  // The picture has the colour of what is down.
  const isRed = await row(page, 'rome')
    .locator('canvas')
    .evaluate((canvas: Any) => {
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      return data.some(
        (_: number, i: number) => i % 4 === 0 && (data[i] ?? 0) > 180 && (data[i + 1] ?? 255) < 90,
      );
    });
  assert(isRed);
  await lab.guest.mend('rome');
  await row(page, 'rome').locator('.mark.up').waitFor();
});

test('the log has what happened before the page was opened', async () => {
  await using opened = await open('#/log');
  await opened.page.locator('tr[data-what=down]', { hasText: 'rome' }).first().waitFor();
  await opened.page.goto(`${lab.url}#/`);
  // It is not applied again.
  await row(opened.page, 'rome').locator('.mark.up').waitFor();
  assert.equal(await opened.page.locator('[aria-live=polite]').innerText(), '');
});

test('an expiry without a successor is told as such', async () => {
  await using opened = await open();
  const { page } = opened;
  await row(page, 'rome').locator('.mark.up').waitFor();
  await lab.guest.expire('rome');
  await row(page, 'rome').getByText('its last SA hit a hard limit, without a successor').waitFor();
  await lab.guest.mend('rome');
  await row(page, 'rome').locator('.mark.up').waitFor();
});

test('lost events are seen within a second, and the badge tells of the repair', async () => {
  await using opened = await open('#/log');
  const { page } = opened;
  await badge(page, 'synced').waitFor();
  await follow(page);
  await seenWithinASecond(page, 'overrun', () => lab.guest.lose());
  await page.locator('tr[data-what=repairing]').first().waitFor();
  await page.locator('tr[data-what=resynced]').first().waitFor();
  await badge(page, 'synced').waitFor();
  await page.locator('#badge').click();
  await page.getByText(/^[1-9]\d* loss(es)? of events, [1-9]\d* repairs? since/).waitFor();
});

test('search and the filters of the command; what is wrong with one is said', async () => {
  await using opened = await open();
  const { page } = opened;
  const search = page.getByRole('searchbox');
  const names = () =>
    page.locator('tr[data-tunnel]').evaluateAll((all) => all.map((one: Any) => one.dataset.tunnel));
  const shows = async (query: string, expected: readonly string[]) => {
    await search.fill(query);
    await page.waitForFunction(
      (expected) =>
        [...document.querySelectorAll('tr[data-tunnel]')]
          .map((one) => one.dataset.tunnel)
          .join() === expected,
      expected.join(),
    );
    assert.deepEqual(await names(), expected);
  };
  await shows('PARIS', ['paris']);
  await shows('198.51 reqid', ['paris', 'rome', '192.0.2.1 > 198.51.100.3 reqid 3'].toSorted());
  await shows('state!=up', ['lima']);
  await shows('peer=198.51.100.2', ['rome']);
  await shows('peer=198.51.100.0/24 state=up name=paris,rome', ['paris', 'rome']);
  await shows('nothing like that', []);
  await page.getByText('None of 4 tunnels matches the query.').waitFor();
  await search.fill('peer=nowhere');
  const wrong = page.getByRole('alert').filter({ hasText: 'peer' });
  await wrong.waitFor();
  assert.match(await wrong.innerText(), /invalid value 'nowhere' for peer: expected a network/);
  // A filter stays in the address.
  await search.fill('name=rome');
  await page.reload();
  await shows('name=rome', ['rome']);
  // A button for each state adds its term, and takes it away.
  await search.fill('');
  await page.getByRole('button', { name: /up$/ }).click();
  await until(page, () => document.querySelectorAll('tr[data-tunnel]').length === 3);
  assert.equal(await search.inputValue(), 'state=up');
  await page.getByRole('button', { name: /up$/ }).click();
  await until(page, () => document.querySelectorAll('tr[data-tunnel]').length === 4);
});

test('details: SAs with their limits, policies, counters', async () => {
  assert.equal(await lab.guest.traffic('paris', 25, 1000), 25);
  await using opened = await open('#/tunnel/paris');
  const { page } = opened;
  await page.getByRole('heading', { name: 'paris', level: 1 }).waitFor();
  await page.locator('[data-spi]').nth(1).waitFor();
  await page
    .getByText(/^[\d.]+ KiB, \d+ packets, last .* ago$/)
    .first()
    .waitFor();
  const text = await page.getByRole('main').innerText();
  for (const expected of [
    /out\s+esp 0x[0-9a-f]{8}\s+192\.0\.2\.1 → 198\.51\.100\.1\s+rfc4106\(gcm\(aes\)\)\/160, tunnel, reqid 1/,
    /time\s+\d+m.* left of 1h/,
    /bytes\s+.* of 953 MiB/,
    /sequence numbers\s+.*% used/,
    /out\s+10\.0\.0\.1\/32 > 10\.0\.1\.1\/32\s+allow\s+1000\s+\[esp tunnel 192\.0\.2\.1 > 198\.51\.100\.1 reqid 1\]/,
    /Rekeys\s+\d/,
  ]) {
    assert.match(text, expected);
  }
  // No key, however long one looks for it.
  assert.doesNotMatch(await page.content(), /[0-9a-f]{40}/);
});

test('what is not there is said', async () => {
  await using opened = await open('#/tunnel/%E0nowhere');
  await opened.page.getByText('This tunnel does not exist').waitFor();
});

test('all can be done with the keyboard', async () => {
  await using opened = await open();
  const { page } = opened;
  await row(page, 'paris').waitFor();
  const focused = () => page.evaluate(() => document.activeElement?.textContent?.trim() ?? '');
  await page.keyboard.press('Tab');
  assert.equal(await focused(), 'Skip to the content');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Tab');
  assert.match(await focused(), /^1 down$/);
  await page.keyboard.press('Space');
  await until(page, () => document.querySelectorAll('tr[data-tunnel]').length === 1);
  for (const name of ['3 up', '', '', '', 'Pause', 'lima']) {
    await page.keyboard.press('Tab');
    // Of fields the text is that of their options.
    if (name !== '') assert.equal(await focused(), name);
  }
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'lima', level: 1 }).waitFor();
});

test('the focus stays on a row that moves', async () => {
  await using opened = await open();
  const { page } = opened;
  await row(page, 'rome').getByRole('link').focus();
  await lab.guest.cut('rome');
  await row(page, 'rome').locator('.mark.blocked').waitFor();
  assert.equal(await page.evaluate(() => document.activeElement?.textContent), 'rome');
  await lab.guest.mend('rome');
  await row(page, 'rome').locator('.mark.up').waitFor();
  assert.equal(await page.evaluate(() => document.activeElement?.textContent), 'rome');
});

test('a pause stops what is shown, not what is known', async () => {
  await using opened = await open();
  const { page } = opened;
  await row(page, 'rome').locator('.mark.up').waitFor();
  await page.getByRole('button', { name: 'Pause' }).click();
  await lab.guest.cut('rome');
  await page.getByText(/^Paused at .*; [1-9]\d* events? since\./).waitFor();
  assert.equal(await row(page, 'rome').locator('.mark').innerText(), 'up');
  await page.getByRole('button', { name: 'Resume' }).click();
  await row(page, 'rome').locator('.mark.blocked').waitFor();
  await lab.guest.mend('rome');
  await row(page, 'rome').locator('.mark.up').waitFor();
});

/** The rules of WCAG 2.2 AA that a program can check, and what axe-core calls best practice. */
async function assertAccessible(page: Page): Promise<void> {
  await page.evaluate(axe.source);
  const found = await page.evaluate(async () => {
    const { violations } = await window.axe.run();
    return violations.flatMap(({ id, nodes }: Any) =>
      nodes.map((one: Any) => `${id}: ${one.html}`),
    );
  });
  assert.deepEqual(found, []);
}

for (const [name, options] of Object.entries({
  light: { colorScheme: 'light' },
  dark: { colorScheme: 'dark' },
  phone: PHONE,
} satisfies Record<string, BrowserContextOptions>)) {
  test(`every view is accessible: ${name}`, async () => {
    await using opened = await open('', options);
    const { page } = opened;
    await lab.guest.cut('rome');
    await row(page, 'rome').locator('.mark.blocked').waitFor();
    await lab.guest.mend('rome');
    await row(page, 'rome').locator('.mark.up').waitFor();
    await assertAccessible(page);
    for (const [view, there] of [
      ['#/?q=peer%3Dnowhere', '.wrong'],
      ['#/log', 'tr[data-what=down]'],
      ['#/tunnel/paris', '[data-spi]'],
      ['#/tunnel/lima', 'h1'],
    ] as const) {
      await page.goto(lab.url + view);
      await page.locator(there).first().waitFor();
      await assertAccessible(page);
      const [width, room] = await page.evaluate(() => [
        document.documentElement.scrollWidth,
        window.innerWidth,
      ]);
      assert(Number(width) <= Number(room), `${view} is ${width} wide, of ${room}`);
    }
  });
}

test('a lost connection is said, and resumed when the daemon is back', async () => {
  await using opened = await open();
  const { page } = opened;
  await row(page, 'rome').locator('.mark.up').waitFor();
  await lab.guest.stopDaemon();
  await page
    .getByRole('alert')
    .filter({ hasText: /^No connection to the daemon since/ })
    .waitFor();
  await badge(page, 'no connection').waitFor();
  assert.match(await page.title(), /no connection/);
  // The last known state is shown.
  await row(page, 'rome').waitFor();
  await lab.guest.cut('rome');
  await lab.guest.startDaemon(...EXPECTED);
  await badge(page, 'synced').waitFor();
  await row(page, 'rome').locator('.mark.blocked').waitFor();
  await page.getByRole('alert').filter({ hasText: 'No connection' }).waitFor({ state: 'detached' });
  await lab.guest.mend('rome');
  await row(page, 'rome').locator('.mark.up').waitFor();
});

test('a daemon with a token: the page asks for it, once a tab', async () => {
  await lab.guest.stopDaemon();
  await lab.guest.startLocked('correct-horse-battery');
  await using opened = await open();
  const { page } = opened;
  const field = page.getByLabel('Token');
  await field.waitFor();
  await assertAccessible(page);
  await field.fill('wrong-horse-battery');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').filter({ hasText: 'Wrong token.' }).waitFor();
  await field.fill('correct-horse-battery');
  await page.getByRole('button', { name: 'Open' }).click();
  await page.locator('tr[data-tunnel]').first().waitFor();
  await page.reload();
  await page.locator('tr[data-tunnel]').first().waitFor();
  assert.equal(page.url().includes('correct'), false);
  assert.deepEqual(await page.evaluate(() => [window.localStorage.length, document.cookie]), [
    0,
    '',
  ]);
});

test('ten thousand tunnels: a page of the worst, search in all, and events as before', async () => {
  await using place = await openGuest('namespace');
  await place.guest.addTraps(0, 10_000);
  await place.guest.startDaemon(...EXPECTED);
  await using opened = await open('', {}, place.url);
  const { page } = opened;
  await page.getByText('Page 1 of 201, 10,003 tunnels').waitFor();
  await row(page, 'lima').waitFor();
  assert.equal(await page.locator('tr[data-tunnel]').count(), 50);
  await page.getByRole('link', { name: 'Next' }).click();
  await page.getByText('Page 2 of 201').waitFor();
  await page.getByRole('searchbox').fill('198.18.39.15');
  await page.getByText('192.0.2.1 → 198.18.39.15').waitFor();
  await page.getByRole('searchbox').fill('dst=198.18.39.0/24');
  // 10,000 = 39 · 256 + 16: the last of these networks is not full.
  await page.getByText('192.0.2.1 → 198.18.39.0', { exact: true }).waitFor();
  assert.equal(await page.locator('tr[data-tunnel]').count(), 16);
  await page.goto(`${place.url}#/log`);
  await page.getByRole('heading', { name: 'Events' }).waitFor();
  await follow(page);
  let next = 10_000;
  await seenWithinASecond(page, 'added', () => place.guest.addTraps(next++, 1));
});
