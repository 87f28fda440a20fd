// Looks at pages with Chromium and axe-core: look.cjs CHROMIUM SHOTS PAGE...
// Prints a JSON list with what is wrong with each page in each width and colour scheme.
'use strict';
const path = require('path');
const { chromium } = require('playwright-core');
const axe = require('axe-core');

const wcag = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'];

async function look(browser, page, scheme, width, shots) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: scheme, bypassCSP: false });
  const tab = await context.newPage();
  const errors = [];
  tab.on('console', (m) => errors.push(m.text()));
  tab.on('pageerror', (e) => errors.push(String(e)));
  tab.on('request', (r) => { if (!r.url().startsWith('file:') && !r.url().startsWith('data:')) errors.push('asks for ' + r.url()); });
  await tab.goto('file://' + page);
  const seen = { page: path.basename(page), scheme, width };
  if (shots) await tab.screenshot({ path: path.join(shots, `${path.basename(page, '.html')}-${scheme}-${width}.png`), fullPage: true });
  seen.overflow = await tab.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  seen.background = await tab.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await tab.evaluate(axe.source);
  const result = await tab.evaluate((tags) => window.axe.run(document, { runOnly: { type: 'tag', values: tags } }), wcag);
  seen.passes = result.passes.length;
  seen.incomplete = result.incomplete.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(' ')).join(', ')}`);
  seen.violations = result.violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.map((n) => n.html).join(' ').slice(0, 400)}`);
  seen.errors = errors;
  await context.close();
  return seen;
}

async function main([program, shots, ...pages]) {
  const browser = await chromium.launch({
    executablePath: program,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  const out = [];
  for (const page of pages) {
    for (const scheme of ['light', 'dark']) {
      for (const width of [1280, 360]) out.push(await look(browser, page, scheme, width, shots));
    }
  }
  await browser.close();
  process.stdout.write(JSON.stringify(out));
}

main(process.argv.slice(2)).catch((e) => { console.error(e); process.exit(1); });
