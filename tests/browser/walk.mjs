// A person who walks through the pages in one tab: deeds by selectors and keys. Places are CSS selectors, which look into
// shadow roots; what needs more than one text gets JSON.
import { complaints, context, listen, url } from './launch.mjs';

let tab;
const page = async () => (tab ??= await context.newPage());
const first = async (selector) => (await page()).locator(selector).first();

const deeds = {
  // Opens a path, or another one in the same tab.
  visit: async (path) => void (await (await page()).goto(url + path)),
  reload: async () => void (await (await page()).reload()),
  back: async () => void (await (await page()).goBack()),
  path: async () => (await page()).evaluate(() => location.pathname + location.search),
  click: async (selector) => void (await (await first(selector)).click()),
  // Writes a text in the place of what a field holds, as one pastes it.
  fill: async (of) => {
    const { selector, text } = JSON.parse(of);
    await (await first(selector)).focus();
    await tab.keyboard.press('Control+a');
    await tab.keyboard.insertText(text);
  },
  focus_on: async (selector) => void (await (await first(selector)).focus()),
  hover: async (selector) => void (await (await first(selector)).hover()),
  press: async (keys) => void (await (await page()).keyboard.press(keys)),
  // Looks on while so many frames are painted.
  frames: async (n) => (await page()).evaluate(async (n) => {
    for (; 0 < n; n--) await new Promise(requestAnimationFrame);
  }, Number(n)),
  type: async (text) => void (await (await page()).keyboard.type(text)),
  // What is shown at a place, once there is anything.
  text: async (selector) => (await first(selector)).innerText(),
  texts: async (selector) => (await page()).locator(selector).allInnerTexts(),
  count: async (selector) => (await page()).locator(selector).count(),
  is_shown: async (selector) => (await first(selector)).isVisible(),
  attribute: async (of) => (await first(JSON.parse(of).selector)).getAttribute(JSON.parse(of).name),
  clipboard: async () => (await page()).evaluate(() => navigator.clipboard.readText()),
  // What has the focus, by its test id, also inside of a shadow root.
  focus: async () => (await page()).evaluate(() => {
    let element = document.activeElement;
    while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
    return element?.dataset?.testid ?? null;
  }),
  // The text of the file that a click saves.
  saved: async (selector) => {
    const [download] = await Promise.all([(await page()).waitForEvent('download'), (await first(selector)).click()]);
    const pieces = [];
    for await (const piece of await download.createReadStream()) pieces.push(piece);
    return { name: download.suggestedFilename(), text: Buffer.concat(pieces).toString() };
  },
  // Scrolls a box to its end in 120 frames. How long they took, and the most elements in the document meanwhile.
  scroll: async (selector) => (await first(selector)).evaluate(async (box) => {
    const frame = () => new Promise((done) => requestAnimationFrame(done));
    const length = box.scrollHeight - box.clientHeight;
    const frames = [];
    let n_elements = 0;
    await frame();
    let last = performance.now();
    for (let n = 1; n <= 120; n++) {
      box.scrollTop = (length * n) / 120;
      await frame();
      frames.push(performance.now() - last);
      last = performance.now();
      n_elements = Math.max(n_elements, document.querySelectorAll('*').length);
    }
    frames.sort((a, b) => a - b);
    return { median_ms: frames[60], p95_ms: frames[114], longest_ms: frames[119], n_elements };
  }),
  // For a person to look at.
  picture: async (path) => void (await (await page()).screenshot({ path, fullPage: true })),
  complaints,
};

await listen(deeds);
