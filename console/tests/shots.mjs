// Pictures of the screens, and axe on each, against the stand-in: `npm run shots [-- NAME…]`. Needs a built console.
// Variants: light and dark, en and zh, and the long pseudo-language for layouts. Looks at the page's own errors too.

import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import { mock } from '../mock/server.mjs'

const SCREENS = {
  overview: '/',
  services: '/services',
  service: '/services/shop/orders',
  gateways: '/gateways',
  gateway: '/gateways/shop/edge',
  routes: '/routes',
  route: '/routes/httproutes/shop/orders',
  'route-form': '/routes/httproutes/shop/orders?tab=form',
  'route-yaml': '/routes/httproutes/shop/orders?tab=yaml',
  'route-traffic': '/routes/httproutes/shop/orders?tab=traffic',
  proxies: '/proxies',
  proxy: '/proxies/edge-7f9c-a1',
  'proxy-config': '/proxies/edge-7f9c-a1?tab=config',
  revisions: '/revisions',
  revision: '/revisions/r42',
  problems: '/problems',
  registries: '/registries',
  registry: '/registries/infra/eureka-old',
  documents: '/documents',
  about: '/about',
}
const VARIANTS = [
  ['light', 'en'],
  ['dark', 'en'],
  ['light', 'zh-CN'],
  ['dark', 'zh-CN'],
  ['light', 'pseudo'],
]

const out = fileURLToPath(new URL('./__shots__/', import.meta.url))
mkdirSync(out, { recursive: true })
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const asked = process.argv.slice(2).filter(word => !word.startsWith('--'))
const fast = process.argv.includes('--fast')

const { server } = mock()
await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
const root = `http://127.0.0.1:${server.address().port}`
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox'],
})
let bad = 0

for (const [theme, lang] of fast ? VARIANTS.slice(0, 1) : VARIANTS) {
  const context = await browser.newContext({
    viewport: { width: 1360, height: 860 },
    colorScheme: theme,
    locale: lang === 'pseudo' ? 'en' : lang,
  })
  await context.addInitScript(
    ([t, l]) => {
      localStorage.setItem('isthmus.theme', t)
      localStorage.setItem('isthmus.language', l)
    },
    [theme, lang],
  )
  for (const [name, path] of Object.entries(SCREENS)) {
    if (asked.length > 0 && !asked.includes(name)) continue
    const page = await context.newPage()
    const errors = []
    page.on('pageerror', error => errors.push(String(error)))
    page.on('console', message => message.type() === 'error' && errors.push(message.text()))
    await page.goto(root + path)
    await page.waitForSelector('.page')
    // Everything asked for is there, and nothing is still loading.
    await page
      .waitForFunction(() => !document.querySelector('.bone'), undefined, { timeout: 10_000 })
      .catch(() => errors.push('still loading'))
    await page.waitForTimeout(250)
    await page.screenshot({ path: `${out}${name}-${theme}-${lang}.png`, fullPage: false })
    await page.evaluate(axe)
    const { violations } = await page.evaluate(() =>
      window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }),
    )
    const wide = await page.evaluate(() => {
      const main = document.querySelector('.main')
      return main ? main.scrollWidth - main.clientWidth : 0
    })
    if (wide > 0) errors.push(`the page is ${wide} px too wide`)
    for (const { id, nodes } of violations)
      errors.push(
        `${id}: ${nodes
          .slice(0, 3)
          .map(node => `${node.target.join(' ')} ${node.any[0]?.message ?? ''}`)
          .join('; ')}`,
      )
    if (errors.length > 0) {
      bad += 1
      console.log(`${name} ${theme} ${lang}\n  ${errors.join('\n  ')}`)
    }
    await page.close()
  }
  await context.close()
}
await browser.close()
server.close()
server.closeAllConnections()
console.log(bad === 0 ? 'all clean' : `${bad} with something wrong`)
process.exit(bad === 0 ? 0 : 1)
