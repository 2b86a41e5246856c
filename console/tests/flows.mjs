// What people do, from end to end, against the stand-in: `npm run flows`. Needs a built console. The same against the
// control plane with a real Envoy is in `conformance/console`.

import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { launch, open, serve, violations } from './browser.mjs'

const out = fileURLToPath(new URL('./__shots__/', import.meta.url))
mkdirSync(out, { recursive: true })
const ROUTE = '/routes/httproutes/shop/orders'
const browser = await launch()

const FLOWS = {
  async 'a weight is changed by the form, previewed, applied, and followed until it is live'({
    page,
    root,
    picture,
  }) {
    await page.goto(`${root}${ROUTE}?tab=form`)
    const weight = page.getByRole('textbox', { name: 'Weight' }).first()
    await weight.fill('70')
    await page.getByRole('button', { name: 'Save…' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByText('/spec/rules/0/backendRefs/0/weight').waitFor()
    await picture('preview-objects')
    await dialog.getByRole('tab', { name: /Proxies/ }).click()
    await dialog.getByText('shop/edge/https').waitFor()
    await picture('preview-proxies')
    await dialog.getByRole('tab', { name: /Notices/ }).click()
    await dialog.getByText('Envoy takes it').waitFor()
    await picture('preview-notices')
    await dialog.getByLabel('Why (kept in the history)').fill('canary')
    await dialog.getByRole('button', { name: 'Apply', exact: true }).click()
    await page.getByText('Applied as r43').waitFor()
    await page.getByText('Live 14/14').waitFor()
    await picture('toast-live')
  },

  async 'two people edit one object: the second sees both changes and decides'({
    page,
    root,
    context,
    picture,
  }) {
    await page.goto(`${root}${ROUTE}?tab=form`)
    await page.getByRole('textbox', { name: 'Weight' }).first().fill('60')
    const other = await context.request.get(`${root}/api/v1/namespaces/shop/httproutes/orders`)
    const document = await other.json()
    document.spec.hostnames = ['www.example.com']
    await context.request.put(`${root}/api/v1/namespaces/shop/httproutes/orders`, {
      headers: { 'if-match': other.headers().etag },
      data: document,
    })
    await page.getByText('Somebody else has changed this object').waitFor()
    await page.getByRole('button', { name: 'Save…' }).click()
    await page.getByText('Somebody else has changed it meanwhile').waitFor()
    await page.getByRole('heading', { name: 'Their change' }).waitFor()
    await page.locator('.cm-mergeView').first().waitFor()
    await picture('stale')
    await page.getByRole('button', { name: 'Put mine on top of theirs' }).click()
    await page.getByRole('dialog').getByText('/spec/rules/0/backendRefs/0/weight').waitFor()
    assert.equal(await page.getByRole('dialog').getByText('/spec/hostnames/0').count(), 0)
  },

  async 'the stream is cut: the console says so, asks by itself, and comes back'({
    page,
    root,
    stand,
    picture,
  }) {
    await page.goto(`${root}/proxies`)
    await page.getByRole('button', { name: 'Live', exact: true }).waitFor()
    stand.cut(true)
    await page.getByText(/Stream lost/).waitFor({ timeout: 15_000 })
    await picture('stream-lost')
    stand.cut(false)
    await page.getByRole('button', { name: 'Live', exact: true }).waitFor({ timeout: 20_000 })
    await page.getByRole('button', { name: 'Live', exact: true }).click()
    await page.getByText(/Paused since/).waitFor()
  },

  async 'what is looked at is in the address, and back brings it again'({ page, root }) {
    await page.goto(`${root}/services?ns=shop`)
    await page.getByRole('textbox', { name: 'Name, host, IP, label' }).fill('orders')
    await page.waitForURL(/q=orders/)
    await page.getByRole('link', { name: 'orders', exact: true }).click()
    await page.waitForURL(/\/services\/shop\/orders\?ns=shop/)
    await page.goBack()
    await page.waitForURL(/services\?.*q=orders/)
    await assert.doesNotReject(page.getByRole('link', { name: 'orders-canary' }).waitFor())
    await page.getByRole('textbox', { name: 'Name, host, IP, label' }).fill('nothing like it')
    await page.getByText('The filter hides everything').waitFor()
  },

  async 'search finds things by the keyboard alone'({ page, root }) {
    await page.goto(root)
    await page.getByRole('heading', { name: 'Overview' }).waitFor()
    await page.keyboard.press('Control+k')
    await page.locator('[role=combobox]:focus').waitFor()
    await page.keyboard.type('catalog')
    await page.getByRole('option', { name: /HTTPRoute shop\/catalog/ }).waitFor()
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('Enter')
    await page.waitForURL(/catalog/)
  },
}

const RIGHTS = {
  async 'who may only look sees why a button cannot be used'({ page, root, picture }) {
    await page.goto(`${root}${ROUTE}`)
    const remove = page.getByRole('button', { name: 'Delete…' })
    await remove.waitFor()
    assert.equal(await remove.getAttribute('aria-disabled'), 'true')
    await remove.focus()
    await page.getByText(/Needs the role editor in namespace shop/).waitFor()
    await picture('viewer')
  },
}

const PROPOSE = {
  async 'where Git owns the documents there is nothing to apply, only to take along'({
    page,
    root,
    picture,
  }) {
    await page.goto(`${root}${ROUTE}?tab=form`)
    await page.getByText(/Propose only/).waitFor()
    await page.getByRole('textbox', { name: 'Weight' }).first().fill('70')
    await page.getByRole('button', { name: 'Save…' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByRole('button', { name: 'Copy YAML' }).waitFor()
    await dialog.getByText('/spec/rules/0/backendRefs/0/weight').waitFor()
    assert.equal(await dialog.getByRole('button', { name: 'Apply' }).count(), 0)
    await picture('propose')
  },
}

const LOGIN = {
  async 'a token logs in, and a wrong one does not'({ page, root, picture, errors }) {
    await page.goto(root)
    await page.getByLabel('Token').first().fill('bad')
    await page.getByRole('button', { name: 'Log in', exact: true }).click()
    await page.getByText('This token is not known').waitFor()
    // The browser itself logs each 401.
    errors.length = 0
    await picture('login')
    await page.getByLabel('Token').first().fill('good')
    await page.getByRole('button', { name: 'Log in', exact: true }).click()
    await page.getByRole('heading', { name: 'Overview' }).waitFor()
  },
}

const EMPTY = {
  async 'with nothing there yet, each list says so and what to do'({ page, root, picture }) {
    await page.goto(`${root}/services`)
    await page.getByText('There is nothing here yet').waitFor()
    await page.getByRole('button', { name: 'Connect a registry' }).waitFor()
    await picture('empty')
    await page.goto(root)
    await page.getByText('Publish your first service').waitFor()
    await picture('first')
  },
}

let failed = 0
async function run(flows, options) {
  for (const [name, flow] of Object.entries(flows)) {
    const stand = await serve(options)
    const context = await browser.newContext({ viewport: { width: 1360, height: 860 }, locale: 'en' })
    const { page, errors } = await open(context)
    page.setDefaultTimeout(30_000)
    const picture = async title => {
      await page.waitForTimeout(150)
      await page.screenshot({ path: `${out}flow-${title}.png` })
      for (const found of await violations(page)) errors.push(`${title}: ${found}`)
    }
    try {
      await flow({ page, root: stand.root, stand, context, picture, errors })
      const real = errors.filter(text => !/ERR_|412|404/.test(text))
      assert.deepEqual(real, [])
      console.log(`ok    ${name}`)
    } catch (error) {
      failed += 1
      await page.screenshot({ path: `${out}flow-failed.png` })
      console.log(`FAIL  ${name}\n      ${String(error.message).split('\n').slice(0, 12).join('\n      ')}`)
    }
    await context.close()
    stand.close()
  }
}

await run(FLOWS, {})
await run(RIGHTS, { me: { roles: [{ role: 'viewer', namespaces: ['*'] }] } })
await run(PROPOSE, { me: { writeMode: 'propose' } })
await run(LOGIN, { me: { loginNeeded: true } })
await run(EMPTY, { empty: true })
await browser.close()
process.exit(failed === 0 ? 0 : 1)
