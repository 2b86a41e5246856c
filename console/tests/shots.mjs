// Pictures of the screens, and axe on each, against the stand-in: `npm run shots [-- NAME…]`. Needs a built console.
// Variants: light and dark, en and zh, and the long pseudo-language for layouts. Looks at the page's own errors too.

import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { launch, open, serve, violations } from './browser.mjs'

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
  topology: '/topology',
  'topology-node': '/topology?node=service/shop/orders',
  domains: '/domains',
  why: '/why?url=https://shop.example.com/orders/7',
  requests: '/requests',
  audit: '/audit',
  access: '/access',
  rollouts: '/rollouts',
  import: '/import',
  wizards: '/wizards',
  publish: '/wizards/publish',
  shift: '/wizards/shift?route=shop/orders',
  'blue-green': '/wizards/blue-green',
  'blue-green-setup': '/wizards/blue-green?tab=setup',
  connect: '/wizards/registry',
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
const asked = process.argv.slice(2).filter(word => !word.startsWith('--'))
const fast = process.argv.includes('--fast')

const { root, close } = await serve()
const browser = await launch()
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
    const { page, errors } = await open(context)
    await page.goto(root + path)
    await page.waitForSelector('.page')
    // Everything asked for is there, and nothing is still loading.
    await page
      .waitForFunction(() => !document.querySelector('.bone'), undefined, { timeout: 10_000 })
      .catch(() => errors.push('still loading'))
    await page.waitForTimeout(250)
    await page.screenshot({ path: `${out}${name}-${theme}-${lang}.png`, fullPage: false })
    const wide = await page.evaluate(() => {
      const main = document.querySelector('.main')
      return main ? main.scrollWidth - main.clientWidth : 0
    })
    if (wide > 0) errors.push(`the page is ${wide} px too wide`)
    errors.push(...(await violations(page)))
    if (errors.length > 0) {
      bad += 1
      console.log(`${name} ${theme} ${lang}\n  ${errors.join('\n  ')}`)
    }
    await page.close()
  }
  await context.close()
}
await browser.close()
close()
console.log(bad === 0 ? 'all clean' : `${bad} with something wrong`)
process.exit(bad === 0 ? 0 : 1)
