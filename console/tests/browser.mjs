// A browser on a stand-in of the API, under the policy of the real one.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { chromium } from 'playwright-core'
import { mock } from '../mock/server.mjs'

export const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']

export async function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox'],
  })
}

export async function serve(options) {
  const stand = mock(options)
  await new Promise(resolve => stand.server.listen(0, '127.0.0.1', resolve))
  return {
    ...stand,
    root: `http://127.0.0.1:${stand.server.address().port}`,
    close: () => {
      stand.server.close()
      stand.server.closeAllConnections()
    },
  }
}

/** A page that remembers what it complained of. */
export async function open(context) {
  const page = await context.newPage()
  const errors = []
  page.on('pageerror', error => errors.push(String(error)))
  page.on('console', message => message.type() === 'error' && errors.push(message.text()))
  return { page, errors }
}

export async function violations(page) {
  await page.evaluate(axe)
  const found = await page.evaluate(tags => window.axe.run(document, { runOnly: tags }), TAGS)
  return found.violations.map(
    ({ id, nodes }) =>
      `${id}: ${nodes
        .slice(0, 3)
        .map(node => `${node.target.join(' ')} ${node.any[0]?.message ?? ''}`)
        .join('; ')}`,
  )
}
