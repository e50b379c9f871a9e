// A person at the page: does what a line on stdin says and answers with a line on stdout, both JSON. What is right, the
// test decides. `node page.mjs NODE_MODULES CHROMIUM URL`; ends with its stdin.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const [modules, executablePath, url] = process.argv.slice(2);
const { chromium } = createRequire(modules + '/')('playwright-core');
const id = (name) => `[data-testid="${name}"]`;

setTimeout(() => { throw new Error('nobody looks at a page for ten minutes'); }, 600_000).unref();

const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});
const page = await browser.newPage({ viewport: { width: 1440, height: 1000 } });
page.setDefaultTimeout(60_000);

const errors = [];
const foreign = [];
page.on('pageerror', (error) => errors.push({ at: Date.now(), text: error.stack ?? error.message, url: '' }));
page.on('console', (message) => {
  if (message.type() === 'error') {
    errors.push({ at: Date.now(), text: message.text(), url: message.location().url });
  }
});
page.on('request', (request) => {
  if (new URL(request.url()).host !== new URL(url).host) foreign.push(request.url());
});

// Writes down what each frame shows, just before it is painted: each row and the connection's state whenever they differ
// from the frame before.
await page.addInitScript(() => {
  const history = (window.weirHistory = { rows: [], states: [] });
  const shown = new Map();
  const look = () => {
    const at = Date.now();
    const state = document.querySelector('[data-testid="connection-state"]')?.dataset.state;
    if (state && state !== history.states.at(-1)?.state) history.states.push({ at, state });
    for (const line of document.querySelectorAll('[data-testid="window-row"]')) {
      const [, window, ...numbers] = [...line.cells].map((cell) => cell.textContent);
      const row = { window, numbers, final: line.dataset.final === 'true' };
      const text = JSON.stringify(row);
      if (shown.get(window) !== text) {
        shown.set(window, text);
        history.rows.push({ at, ...row });
      }
    }
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
});

const deeds = {
  // The state of a pipeline's line; null while there is none.
  pipeline: async (name) => page.evaluate(
    (selector) => document.querySelector(selector)?.dataset.state ?? null,
    `${id(`pipeline-row-${name}`)} ${id('pipeline-state')}`,
  ),
  // All that was shown so far.
  history: async () => page.evaluate(() => window.weirHistory),
  // The rows that are shown now.
  rows: async () => page.$$eval(id('window-row'), (lines) => lines.map((line) => ({
    cells: [...line.cells].slice(1).map((cell) => cell.textContent),
    final: line.dataset.final === 'true',
  }))),
  // The cells of the answer to a query that is right.
  answer: async (query) => {
    await run(query);
    await page.waitForSelector(id('sql-result'));
    return page.$$eval(`${id('sql-result')} td`, (cells) => cells.map((cell) => cell.textContent));
  },
  // The text of what is said to a query that is wrong.
  problem: async (query) => {
    await run(query);
    return page.innerText(id('sql-error'));
  },
  // What a developer's console shows, and requests to other hosts.
  complaints: async () => ({ errors, foreign }),
};

const run = async (query) => {
  await page.fill(id('sql-input'), query);
  await page.click(id('sql-run'));
};

await page.goto(`${url}/#pipeline=revenue`);
for await (const line of createInterface({ input: process.stdin })) {
  const { deed, of } = JSON.parse(line);
  console.log(JSON.stringify(await deeds[deed](of)));
}
await browser.close();
