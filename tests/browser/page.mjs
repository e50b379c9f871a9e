// A person at the page: does what a line on stdin says and answers with a line on stdout, both JSON. What is right, the
// test decides.
import { complaints, context, id, listen, url } from './launch.mjs';

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
  complaints,
};

const run = async (query) => {
  const desk = await tab('/sql');
  await desk.fill(id('sql-input'), query);
  await desk.click(id('sql-run'));
  return desk;
};

await listen(deeds);
