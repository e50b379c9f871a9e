// A person at a dashboard. What is right, the test decides.
import { readFile } from 'node:fs/promises';

import { complaints, context, id, listen, url } from './launch.mjs';

const page = await context.newPage();
const panel = (n) => page.locator(id(`panel-${n}`));
const part = (n, name) => panel(n).locator(id(name));

// Chooses what a panel's menu offers.
const choose = async (n, item) => {
  await part(n, 'panel-menu').click();
  await part(n, item).click();
};

const deeds = {
  open: async (path) => {
    await page.goto(url + path);
  },
  reload: async () => {
    await page.reload();
  },
  back: async () => {
    await page.goBack();
  },
  // The path and query that are shown.
  address: async () => page.evaluate(() => location.pathname + location.search),
  // What each panel has to show.
  stages: async () => page.$$eval('section.panel', (panels) => panels.map((panel) => panel.dataset.stage)),
  // The text of a part of a panel.
  text: async ([n, name]) => part(n, name).first().innerText(),
  // Which lines of the legend are pressed.
  alone: async (n) => part(n, 'legend-item').evaluateAll((items) =>
    items.filter((item) => item.ariaPressed === 'true').map((item) => item.querySelector('.label').textContent)),
  // Shows one series alone, by its name.
  isolate: async ([n, label]) => {
    await part(n, 'legend-item').filter({ hasText: label }).click();
  },
  // The pixels of a chart as one number; 0 where nothing is painted.
  picture: async (n) => panel(n).locator('canvas').first().evaluate((canvas) => {
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    return data.reduce((sum, byte) => (sum * 31 + byte) % 2147483647, 0);
  }),
  // Draws the pointer over a chart from one share of its width to another.
  drag: async ([n, from, to]) => {
    const box = await part(n, 'panel-chart').boundingBox();
    const y = box.y + box.height / 2;
    await page.mouse.move(box.x + box.width * from, y);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * (from + to) / 2, y);
    await page.mouse.move(box.x + box.width * to, y);
    await page.mouse.up();
  },
  // What the pointer at a share of a chart's width shows in the legends of all panels.
  hover: async ([n, share]) => {
    const box = await part(n, 'panel-chart').boundingBox();
    await page.mouse.move(box.x + box.width * share, box.y + box.height / 2);
    return page.$$eval(id('panel-window'), (windows) => windows.map((window) => window.textContent));
  },
  // Goes to a chart with the keyboard alone, and presses keys there.
  press: async ([n, keys]) => {
    for (let i = 0; i < 200; i += 1) {
      const is_there = await part(n, 'panel-chart').evaluate((chart) => chart === document.activeElement);
      if (is_there) break;
      await page.keyboard.press('Tab');
    }
    for (const key of keys) await page.keyboard.press(key);
    return part(n, 'panel-window').innerText();
  },
  // Opens a panel's menu and takes its first item, with the keyboard alone.
  keyboard_table: async (n) => {
    await part(n, 'panel-menu').focus();
    for (const key of ['Enter', 'Tab', 'Enter']) await page.keyboard.press(key);
    await part(n, 'panel-table').waitFor();
    const rows = await part(n, 'panel-table').locator('tbody tr:not([hidden])').count();
    await part(n, 'panel-menu').focus();
    for (const key of ['Enter', 'Tab', 'Enter']) await page.keyboard.press(key);
    await part(n, 'panel-chart').waitFor();
    return rows;
  },
  // The rows of a panel as a table.
  rows: async (n) => {
    await choose(n, 'panel-as-table');
    const rows = await part(n, 'panel-table').locator('tbody tr:not([hidden])').evaluateAll((rows) =>
      rows.map((row) => [...row.cells].slice(1).map((cell) => cell.textContent).join(' | ')));
    await choose(n, 'panel-as-table');
    return rows;
  },
  csv: async (n) => {
    const [download] = await Promise.all([page.waitForEvent('download'), choose(n, 'panel-csv')]);
    return { name: download.suggestedFilename(), text: await readFile(await download.path(), 'utf8') };
  },
  png: async (n) => {
    const [download] = await Promise.all([page.waitForEvent('download'), choose(n, 'panel-png')]);
    return { name: download.suggestedFilename(), bytes: (await readFile(await download.path())).length };
  },
  inspect: async (n) => {
    await choose(n, 'panel-inspect');
    const text = async (name) => page.locator(id(name)).innerText();
    const facts = { sql: await text('inspect-sql'), epoch: await text('inspect-epoch'), rows: await text('inspect-rows') };
    await page.keyboard.press('Escape');
    return facts;
  },
  click: async (name) => {
    await page.locator(id(name)).click();
  },
  fill: async ([name, value]) => {
    const field = page.locator(id(name));
    if ((await field.evaluate((field) => field.tagName)) === 'SELECT') await field.selectOption(value);
    else {
      await field.fill(value);
      await field.blur();
    }
  },
  // The titles of the panels, in their order.
  titles: async () => page.$$eval('section.panel h2', (titles) => titles.map((title) => title.textContent)),
  // Drags a panel by its handle to another's place.
  carry: async ([from, to]) => {
    const grip = await part(from, 'grip-move').boundingBox();
    const goal = await panel(to).boundingBox();
    await page.mouse.move(grip.x + grip.width / 2, grip.y + grip.height / 2);
    await page.mouse.down();
    await page.mouse.move(goal.x + goal.width / 2, goal.y + goal.height / 2, { steps: 4 });
    await page.mouse.up();
  },
  // Drags a panel's corner by so many of its own columns and lines.
  stretch: async ([n, wider, higher]) => {
    const grip = await part(n, 'grip-resize').boundingBox();
    const box = await panel(n).boundingBox();
    const [columns, lines] = await panel(n).evaluate(({ className }) => [/wide-(\d+)/, /high-(\d+)/].map((it) => +it.exec(className)[1]));
    const [x, y] = [grip.x + grip.width / 2, grip.y + grip.height / 2];
    await page.mouse.move(x, y);
    await page.mouse.down();
    await page.mouse.move(x + (wider * (box.width + 14)) / columns, y + (higher * (box.height + 14)) / lines, { steps: 4 });
    await page.mouse.up();
  },
  // Presses keys on a handle.
  grip: async ([n, name, keys]) => {
    await part(n, name).focus();
    for (const key of keys) await page.keyboard.press(key);
  },
  remove: async (n) => {
    await panel(n).getByRole('button', { name: 'Remove the panel' }).click();
  },
  hidden: async (name) => page.locator(id(name)).isHidden(),
  count: async (name) => page.locator(id(name)).count(),
  // The text of an element that may be out of sight.
  content: async (name) => page.locator(id(name)).textContent(),
  complaints,
};

await listen(deeds);
