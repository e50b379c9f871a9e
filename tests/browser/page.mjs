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
const context = await browser.newContext({ viewport: { width: 1440, height: 1000 } });
context.setDefaultTimeout(60_000);

const errors = [];
const foreign = [];
context.on('weberror', (event) => {
  const error = event.error();
  errors.push({ at: Date.now(), text: error.stack ?? error.message, url: '' });
});
context.on('console', (message) => {
  if (message.type() === 'error') {
    errors.push({ at: Date.now(), text: message.text(), url: message.location().url });
  }
});
context.on('request', (request) => {
  if (new URL(request.url()).host !== new URL(url).host) foreign.push(request.url());
});

// Writes down what each frame shows, just before it is painted: each row and the connection's state whenever they differ
// from the frame before.
await context.addInitScript(() => {
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

// One tab for each path that is looked at.
const tabs = new Map();
const tab = async (path) => {
  if (!tabs.has(path)) {
    tabs.set(path, await context.newPage());
    await tabs.get(path).goto(url + path);
  }
  return tabs.get(path);
};
// An address of old, as people have it in their bookmarks.
const page = await tab('/#pipeline=revenue');

const deeds = {
  // The path and query that the tab of the pipeline shows.
  address: async () => page.evaluate(() => location.pathname + location.search + location.hash),
  // The state of a pipeline's line; null while there is none.
  pipeline: async (name) => (await tab('/')).evaluate(
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
    const desk = await run(query);
    await desk.waitForSelector(id('sql-result'));
    return desk.$$eval(`${id('sql-result')} td`, (cells) => cells.map((cell) => cell.textContent));
  },
  // The text of what is said to a query that is wrong.
  problem: async (query) => {
    const desk = await run(query);
    return desk.innerText(id('sql-error'));
  },
  // What a developer's console shows, and requests to other hosts.
  complaints: async () => ({ errors, foreign }),
};

const run = async (query) => {
  const desk = await tab('/sql');
  await desk.fill(id('sql-input'), query);
  await desk.click(id('sql-run'));
  return desk;
};

for await (const line of createInterface({ input: process.stdin })) {
  const { deed, of } = JSON.parse(line);
  console.log(JSON.stringify(await deeds[deed](of)));
}
await browser.close();
