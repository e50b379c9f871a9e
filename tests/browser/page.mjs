// Looks at the page as a person does. Says each thing it has seen on stdout, a line each, and waits on stdin where
// the test has to do something first: `node page.mjs NODE_MODULES CHROMIUM URL`.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const [modules, executablePath, url] = process.argv.slice(2);
const { chromium } = createRequire(modules + '/')('playwright-core');
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (text) => console.log(text);
const told = async (word) => {
  const { value } = await lines.next();
  if (!value?.startsWith(word)) throw new Error(`expected ${word}, got ${value}`);
  return value.slice(word.length).trim();
};
const id = (name) => `[data-testid="${name}"]`;

const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});
const page = await browser.newPage({ viewport: { width: 1440, height: 1000 } });
page.setDefaultTimeout(60_000);
const complaints = [];
page.on('pageerror', (error) => complaints.push(`page error: ${error.message}`));
page.on('console', (message) => {
  // A server that is away is told by the browser itself.
  if (message.type() === 'error' && !/Failed to load resource|net::ERR/.test(message.text())) {
    complaints.push(`console: ${message.text()}`);
  }
});
page.on('request', (request) => {
  if (new URL(request.url()).host !== new URL(url).host) complaints.push(`foreign request: ${request.url()}`);
});

await page.goto(`${url}/#pipeline=revenue`);
await page.waitForSelector(`${id('pipeline-row-revenue')} ${id('pipeline-state')}[data-state="running"]`);
say('running');

const provisional = page.locator(`${id('window-row')}[data-final="false"]`).first();
const before = await provisional.textContent();
say('provisional');
await page.waitForFunction(
  ([selector, before]) => document.querySelector(selector)?.textContent !== before,
  [`${id('window-row')}[data-final="false"]`, before],
);
say('changed');
await page.waitForSelector(`${id('window-row')}[data-final="true"]`);
say('final');

const ask = async (query) => {
  await page.fill(id('sql-input'), query);
  await page.click(id('sql-run'));
};
await ask('SELECT 40 + 2 AS answer');
await page.waitForFunction((selector) => document.querySelector(selector)?.textContent.includes('42'), id('sql-result'));
await ask('SELECT\n  nonsense FROM revenue');
const problem = await page.locator(id('sql-error')).textContent();
if (!problem.includes('nonsense') || !/\b2\b/.test(problem)) throw new Error(`no place in: ${problem}`);
say('sql');

for (let i = 0; i < 20; i++) {
  say('watching');
  const text = await told('produced');
  await page.waitForFunction(
    ([selector, text]) => document.querySelector(selector)?.textContent.includes(text),
    [id('window-table'), text],
    { polling: 'raf' },
  );
  say(`painted ${Date.now()}`);
}

say('kill it');
await told('killed');
const killed = Date.now();
await page.waitForFunction(
  (selector) => ['reconnecting', 'stale'].includes(document.querySelector(selector)?.dataset.state),
  id('connection-state'),
);
say(`noticed ${Date.now() - killed}`);
await told('restarted');
await page.waitForSelector(`${id('connection-state')}[data-state="live"]`);
const newest = await told('newest');
await page.waitForFunction(
  ([selector, texts]) => {
    const row = document.querySelector(selector)?.textContent ?? '';
    return texts.every((text) => row.includes(text));
  },
  [id('window-row'), newest.split(' ')],
);
say('live again');
if (complaints.length) throw new Error(complaints.join('\n'));
await browser.close();
say('done');
process.exit(0);
