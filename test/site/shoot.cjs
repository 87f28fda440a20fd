// Looks at one page: shoot.cjs CHROMIUM ORDER, where ORDER is the JSON of page in webui_test.go.
// Prints as JSON what the page says, once it says all that was waited for.
'use strict';
const { chromium } = require('playwright-core');

// hide puts other words for what is this machine's alone.
function hide(pairs) {
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    for (const [from, to] of pairs) {
      if (walk.currentNode.nodeValue.includes(from)) walk.currentNode.nodeValue = walk.currentNode.nodeValue.replaceAll(from, to);
    }
  }
}

async function says(tab) {
  const all = await Promise.all(tab.frames().map((f) => f.evaluate(() => document.body.innerText).catch(() => '')));
  return all.join('\n');
}

async function main(program, o) {
  const browser = await chromium.launch({
    executablePath: program,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  const context = await browser.newContext({ viewport: { width: o.Width, height: o.Height }, colorScheme: o.Scheme || 'light', bypassCSP: true, timezoneId: 'UTC' });
  await context.addInitScript((kept) => { for (const k in kept) window.localStorage.setItem(k, kept[k]); }, o.Storage || {});
  const tab = await context.newPage();
  tab.setDefaultTimeout(o.Patience);
  const elsewhere = [];
  await tab.route((u) => u.protocol.startsWith('http') && u.hostname !== '127.0.0.1', (r) => { elsewhere.push(r.request().url()); return r.abort(); });
  await tab.goto(o.URL, { waitUntil: 'load' });
  for (const selector of o.Click || []) await tab.locator(selector).first().click();
  for (let n = 0, left = o.Wait || []; ; n++) { // the Web UI shows details in a frame
    const text = await says(tab);
    left = left.filter((t) => !text.includes(t));
    if (left.length === 0) break;
    if (n * 200 > o.Patience) throw new Error(`${o.URL} does not say ${left.join(', ')}:\n${text}`);
    await tab.waitForTimeout(200);
  }
  await tab.evaluate(() => document.fonts.ready);
  for (const selector of o.Remove || []) await tab.locator(selector).evaluateAll((all) => all.forEach((e) => e.remove()));
  for (const frame of tab.frames()) await frame.evaluate(hide, o.Hide || []);
  const text = await says(tab);
  if (o.File) await (o.Element ? tab.locator(o.Element).first() : tab).screenshot({ path: o.File, animations: 'disabled' });
  await browser.close();
  process.stdout.write(JSON.stringify({ Text: text, Elsewhere: elsewhere }));
}

main(process.argv[2], JSON.parse(process.argv[3])).catch((e) => { console.error(e); process.exit(1); });
