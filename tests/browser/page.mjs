// A person at the page: does what a line on stdin says and answers with a line on stdout, both JSON. What is right, the
// test decides. `node page.mjs NODE_MODULES CHROMIUM URL PATH`.
import { axe, complaints, context, id, listen, more, url } from './launch.mjs';

const [path] = more;

// Writes down what each frame shows, just before it is painted: each row and the connection's state whenever they differ
// from the frame before.
await context.addInitScript(() => {
  const history = (window.weirHistory = { rows: [], states: [] });
  const shown = new Map();
  // A tab behind another one has no frames, and is told of the connection all the same.
  const lookAtState = (at) => {
    const state = document.querySelector('[data-testid="connection-state"]')?.dataset.state;
    if (state && state !== history.states.at(-1)?.state) history.states.push({ at, state });
  };
  const look = () => {
    const at = Date.now();
    lookAtState(at);
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
  window.weirChanges = 0;
  new MutationObserver((records) => {
    window.weirChanges += records.length;
    lookAtState(Date.now());
  }).observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
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
const page = await tab(path);
// Tabs that were opened beside it, by number; the first one is 0.
const opened = [page];
const rowsOf = (page) => page.$$eval(id('window-row'), (lines) => lines.map((line) => ({
  cells: [...line.cells].slice(1).map((cell) => cell.textContent),
  final: line.dataset.final === 'true',
})));

// What axe finds wrong in a tab, in both themes.
const faultsOf = async (page) => {
  const faults = [];
  for (const colorScheme of ['light', 'dark']) {
    // Without motion: half-way from one theme to the other colours are neither's.
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.evaluate(axe);
    const found = await page.evaluate(() => window.axe.run(document, {
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'],
    }));
    faults.push(...found.violations.map(({ id: rule, help, nodes }) => (
      `${colorScheme} ${rule}: ${help}: ${nodes.map(({ html }) => html).join(' ').slice(0, 400)}`)));
  }
  return faults;
};

const deeds = {
  // The path and query that the tab of the pipeline shows.
  address: async () => page.evaluate(() => location.pathname + location.search + location.hash),
  // The state of a pipeline's line; null while there is none.
  pipeline: async (name) => (await tab('/')).evaluate(
    (selector) => document.querySelector(selector)?.dataset.state ?? null,
    `${id(`pipeline-row-${name}`)} ${id('pipeline-state')}`,
  ),
  // All that a tab, the first one if none is named, showed so far.
  history: async (at) => opened[at || 0].evaluate(() => window.weirHistory),
  // The rows that are shown now.
  rows: async () => rowsOf(page),
  // The number of the first tab.
  first: async () => 0,
  // The number of a new tab.
  open: async (path) => {
    const another = await context.newPage();
    await another.goto(url + path);
    return opened.push(another) - 1;
  },
  close: async (at) => opened[at].close(),
  // What a tab shows of the connection, and its rows.
  shown: async (at) => ({
    state: await opened[at].evaluate(
      (selector) => document.querySelector(selector)?.dataset.state ?? null, id('connection-state')),
    rows: await rowsOf(opened[at]),
  }),
  // What a tab says of the connection, and whether its numbers look stale.
  health: async (at) => opened[at].evaluate((selector) => ({
    text: document.querySelector(selector)?.textContent ?? '',
    stale: document.querySelector('.app')?.classList.contains('stale') ?? false,
  }), id('connection-state')),
  // What is said to who is not let in, and whether that has the page's place or stands over it; null: nothing.
  refusal: async (at) => opened[at].evaluate((selector) => {
    const said = document.querySelector(selector);
    return !said || said.hidden ? null : { text: said.textContent, place: said.classList.contains('over') ? 'over' : 'whole' };
  }, id('refusal')),
  // Puts the first tab behind another one, and back.
  hide: async () => setHidden(true),
  show: async () => setHidden(false),
  // How often anything in the first tab's document changed.
  changes: async () => page.evaluate(() => window.weirChanges),
  // The cells of the answer to a query that is right.
  answer: async (query) => {
    const desk = await run(query);
    await desk.waitForSelector(id('sql-result'));
    return desk.$$eval(`${id('sql-result')} [role="gridcell"]`, (cells) => cells.map((cell) => cell.textContent));
  },
  // The text of what is said to a query that is wrong.
  problem: async (query) => {
    const desk = await run(query);
    return desk.innerText(id('sql-error'));
  },
  // What axe finds wrong on a page, on a desk and a phone.
  faults: async (path) => {
    const another = await context.newPage();
    const faults = [];
    await another.goto(url + path);
    await another.waitForSelector('main h1');
    await another.waitForFunction(() => document.querySelector('[data-state="live"]'));
    for (const width of [1280, 360]) {
      await another.setViewportSize({ width, height: 760 });
      faults.push(...await faultsOf(another));
    }
    await another.close();
    return faults;
  },
  // The same of a tab as it is now.
  faults_now: async (n) => faultsOf(opened[n]),
  // Opens the palette in the first tab by the keyboard alone, goes where a text leads, and says where that is.
  find: async (text) => {
    await page.keyboard.press('Control+k');
    await page.waitForSelector(id('palette-field'));
    await page.keyboard.type(text);
    await page.keyboard.press('Enter');
    await page.waitForSelector(id('palette-field'), { state: 'detached' });
    return page.evaluate(() => location.pathname);
  },
  // The heading of the first tab's page, once that is another one than before.
  heading: async (before) => {
    await page.waitForFunction((before) => {
      const heading = document.querySelector('main h1')?.textContent;
      return heading && heading !== before;
    }, before);
    return page.innerText('main h1');
  },
  complaints,
};

// As a browser does: it runs no frames for a hidden tab.
const setHidden = async (hidden) => page.evaluate((hidden) => {
  const frames = (window.weirFrames ??= { own: window.requestAnimationFrame.bind(window), waiting: [] });
  Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
  Object.defineProperty(document, 'visibilityState', { value: hidden ? 'hidden' : 'visible', configurable: true });
  window.requestAnimationFrame = hidden ? (callback) => frames.waiting.push(callback) : frames.own;
  document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
  if (!hidden) frames.waiting.splice(0).forEach((callback) => frames.own(callback));
  return null;
}, hidden);

const run = async (query) => {
  const desk = await tab('/sql');
  await desk.focus(id('sql-input'));
  await desk.keyboard.press('Control+a');
  await desk.keyboard.insertText(query);
  await desk.click(id('sql-run'));
  return desk;
};

await listen(deeds);
