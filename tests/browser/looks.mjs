// Takes pictures of the pages: light and dark, on a desk, a tablet and a phone. What may be in them, the test decides.
// `node looks.mjs NODE_MODULES CHROMIUM URL FOLDER`.
import { complaints, context, id, listen, more, url } from './launch.mjs';

const [folder] = more;
const SIZES = [[1440, 1000], [768, 1024], [360, 740]];
const page = await context.newPage();

// What sticks out of a page to its side, and texts that are cut though nothing says that they may be: an ellipsis says so.
const faults = () => page.evaluate(() => {
  const found = [];
  const name = (element) => `${element.tagName.toLowerCase()}.${element.className?.baseVal ?? element.className}`
    + ` "${(element.textContent ?? '').trim().slice(0, 40)}"`;
  const root = document.documentElement;
  if (root.clientWidth < root.scrollWidth) {
    const wide = [...document.querySelectorAll('main *')].filter((element) => {
      const box = element.getBoundingClientRect();
      return box.width && root.clientWidth + 1 < box.right && !element.closest('.scroll, .grid, pre, .segments, svg');
    });
    found.push(`wider than the window by ${root.scrollWidth - root.clientWidth}: ${wide.slice(0, 3).map(name)}`);
  }
  for (const element of document.querySelectorAll('main *')) {
    const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    const { overflowX, textOverflow } = getComputedStyle(element);
    const is_cut = element.clientWidth && element.clientWidth + 1 < element.scrollWidth && element.closest('.unseen') === null;
    if (text && is_cut && overflowX === 'hidden' && textOverflow !== 'ellipsis') found.push(`cut: ${name(element)}`);
    if (text && is_cut && overflowX === 'visible' && ['BUTTON', 'TD', 'TH', 'DD', 'H1', 'H2', 'P'].includes(element.tagName)) {
      found.push(`spills over: ${name(element)}`);
    }
  }
  // A desk has room for everything; a phone at least for the first number of a row.
  for (const box of document.querySelectorAll('main .scroll, main pre, dialog pre')) {
    const { left, right } = box.getBoundingClientRect();
    if (1000 < root.clientWidth && box.clientWidth + 1 < box.scrollWidth) found.push(`has to be scrolled: ${name(box)}`);
    for (const number of [...box.querySelectorAll('tbody tr:not([hidden])')].map((row) => row.querySelector('.num'))) {
      if (!number?.clientWidth || number.getBoundingClientRect().right <= right + 1) continue;
      found.push(`a number is out of sight: ${name(number)} at ${number.getBoundingClientRect().right} of ${left} to ${right}`);
      break;
    }
  }
  return found;
});

const steps = {
  click: (selector) => page.locator(selector).first().click(),
  press: (keys) => page.keyboard.press(keys),
  await: (selector) => page.locator(selector).first().waitFor(),
  // Writes a query and runs it.
  query: async (text) => {
    await page.locator(id('sql-input')).focus();
    await page.keyboard.press('Control+a');
    await page.keyboard.insertText(text);
    await page.keyboard.press('Escape');
    await page.locator(id('sql-run')).click();
  },
};

const deeds = {
  // Opens a path, does some steps ([what, with what]), and takes the pictures. Returns what is wrong with them.
  see: async ([name, path, does]) => {
    await page.setViewportSize({ width: SIZES[0][0], height: SIZES[0][1] });
    await page.goto(url + path);
    await page.locator('[data-state="live"]').first().waitFor();
    for (const [step, of] of does) await steps[step](of);
    const wrong = [];
    for (const [width, height] of SIZES) {
      await page.setViewportSize({ width, height });
      for (const colorScheme of ['light', 'dark']) {
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
        // Two frames, so that canvases have the new size and colours.
        await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
        await page.screenshot({ path: `${folder}/${name}-${width}-${colorScheme}.png`, fullPage: true });
      }
      wrong.push(...(await faults()).map((fault) => `${name} at ${width}: ${fault}`));
    }
    await page.evaluate(() => localStorage.clear());
    return wrong;
  },
  complaints,
};

await listen(deeds);
