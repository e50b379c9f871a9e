// What a dashboard costs its browser while numbers come. What is quick enough, the test decides.
import { complaints, context, id, listen, url } from './launch.mjs';

// The program's memory is no part of JavaScript's heap: keeps hold of it when the program is started.
await context.addInitScript(() => {
  for (const name of ['instantiate', 'instantiateStreaming']) {
    const instantiate = WebAssembly[name];
    WebAssembly[name] = async (...of) => {
      const made = await instantiate(...of);
      window.weirMemory ??= (made.instance ?? made).exports.memory;
      return made;
    };
  }
});
const page = await context.newPage();
const devtools = await context.newCDPSession(page);

const frames = async (seconds) => page.evaluate(async (seconds) => {
  const [starts, long_tasks, painted] = [[], [], []];
  const tasks = new PerformanceObserver((list) => long_tasks.push(...list.getEntries().map((entry) => entry.duration)));
  tasks.observe({ type: 'longtask' });
  const canvas = document.querySelector('[data-testid="panel-1"] canvas[data-epoch]');
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = ({ data }) => painted.push([data, Date.now()]);
  const drawings = new MutationObserver(() => port2.postMessage(Number(canvas.dataset.epoch)));
  drawings.observe(canvas, { attributeFilter: ['data-epoch'] });
  await new Promise((done) => {
    const frame = (at) => {
      starts.push(at);
      if (at < starts[0] + seconds * 1000) requestAnimationFrame(frame);
      else done();
    };
    requestAnimationFrame(frame);
  });
  tasks.disconnect();
  drawings.disconnect();
  port1.close();
  return { frames: starts.slice(1).map((at, i) => at - starts[i]), long_tasks, painted };
}, seconds);

const deeds = {
  // Milliseconds from the beginning of the navigation until the first panel has its numbers.
  open: async (path) => {
    await page.goto(url + path);
    await page.locator('[data-testid="panel-1"][data-stage="ready"]').waitFor();
    return page.evaluate(() => performance.now());
  },
  // How many rows the first panel has.
  rows: async () => {
    const menu = page.locator(id('panel-1'));
    await menu.locator(id('panel-menu')).click();
    await menu.locator(id('panel-inspect')).click();
    const text = await page.locator(id('inspect-rows')).innerText();
    await page.keyboard.press('Escape');
    return Number(text.split(' ')[0].replaceAll(',', ''));
  },
  // Looks on for so many seconds: how long each frame took, in milliseconds, by the times that animation frames are told;
  // how long each long task took (the browser calls those of 50 ms and more long); and when each epoch was painted, on the
  // system's clock: the first task after the frame in which it was drawn.
  watch: async (seconds) => {
    // CPU time of the page's thread: what another process takes does not count.
    await devtools.send('Performance.enable', { timeDomain: 'threadTicks' });
    const busy = async () => Object.fromEntries((await devtools.send('Performance.getMetrics')).metrics.map(
      ({ name, value }) => [name, value * 1000]));
    const before = await busy();
    const seen = await frames(seconds);
    const after = await busy();
    const [task_ms, script_ms] = ['TaskDuration', 'ScriptDuration'].map((name) => after[name] - before[name]);
    return { ...seen, task_ms, script_ms };
  },
  // Bytes that the page keeps once all garbage is gone: of JavaScript's heap, and of the program's own memory.
  memory: async () => {
    await devtools.send('HeapProfiler.collectGarbage');
    const { usedSize } = await devtools.send('Runtime.getHeapUsage');
    const program = await page.evaluate(() => window.weirMemory?.buffer.byteLength ?? null);
    return { heap: usedSize, program };
  },
  complaints,
};

await listen(deeds);
