import { chromium } from 'playwright-core'
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--headless', '--no-sandbox', '--disable-gpu'] })
for (const [name, viewport] of [['desk', { width: 1200, height: 700 }], ['phone', { width: 390, height: 844 }]]) {
  const page = await (await browser.newContext({ viewport, ...(name === 'phone' ? { isMobile: true, hasTouch: true } : {}) })).newPage()
  await page.goto('http://127.0.0.1:21000/#a-rather-long-name-for-a-document')
  await page.locator('html[data-state=synced]').waitFor({ state: 'attached' })
  await page.screenshot({ path: `/tmp/hb-shots/editor-${name}.png` })
  await page.goto('http://127.0.0.1:21000/latency')
  await page.screenshot({ path: `/tmp/hb-shots/page-idle-${name}.png` })
}
await browser.close()
