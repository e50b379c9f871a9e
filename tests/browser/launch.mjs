// What every script at the page begins with: a browser that writes down what goes wrong in it, and deeds that are done as
// lines on stdin say. `node SCRIPT NODE_MODULES CHROMIUM URL …`.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const [modules, executablePath, url, ...more] = process.argv.slice(2);
const { chromium } = createRequire(modules + '/')('playwright-core');
const axe = readFileSync(`${modules}/axe-core/axe.min.js`, 'utf8');
const id = (name) => `[data-testid="${name}"]`;

const minutes = 10 + Number(process.env.WEIR_MINUTES ?? 0);
setTimeout(() => { throw new Error(`nobody looks at a page for ${minutes} minutes`); }, minutes * 60_000).unref();

const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});
const context = await browser.newContext({
  viewport: { width: 1440, height: 1000 },
  permissions: ['clipboard-read', 'clipboard-write'],
});
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

// Does what a line on stdin says and answers with a line on stdout, both JSON, until stdin ends.
const listen = async (deeds) => {
  for await (const line of createInterface({ input: process.stdin })) {
    const { deed, of } = JSON.parse(line);
    console.log(JSON.stringify((await deeds[deed](of)) ?? null));
  }
  await browser.close();
};

// What a developer's console shows, and requests to other hosts.
const complaints = async () => ({ errors, foreign });

export { axe, complaints, context, id, listen, more, url };
