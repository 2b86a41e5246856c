// A small stand-in for the control plane: `npm run mock`, then `ISTHMUS_API=http://127.0.0.1:8090 npm run dev`.
// With a built console it serves that too, under the same Content-Security-Policy as the real one.

import { createHash, randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse, parseAllDocuments, stringify } from 'yaml'
import * as fixtures from './fixtures.mjs'

const dist = fileURLToPath(new URL('../dist', import.meta.url))
const TYPES = {
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.html': 'text/html; charset=utf-8',
  '.json': 'application/json',
}

class Problem extends Error {
  constructor(status, code, title, detail, more = {}) {
    super(detail)
    this.body = {
      type: `/errors/${code}`,
      title,
      status,
      detail,
      code,
      hint: '',
      retryable: status >= 500,
      ...more,
    }
  }
}

export function mock({ me = {}, documents = fixtures.documents, empty = false, forbid = false } = {}) {
  const store = structuredClone(documents)
  const revisions = structuredClone(fixtures.revisions)
  const streams = new Set()
  let sequence = 1

  const plain = ({ status: _, ...document }) => document
  const etag = document =>
    `"${createHash('sha256')
      .update(stringify(plain(document)))
      .digest('hex')
      .slice(0, 16)}"`
  const nameOf = ({ kind, metadata }) => ({ kind, namespace: metadata.namespace ?? '', name: metadata.name })
  const same = (a, b) =>
    a.kind === b.kind &&
    a.metadata.name === b.metadata.name &&
    (a.metadata.namespace ?? '') === (b.metadata.namespace ?? '')
  const pluralOf = kind =>
    Object.keys(store).find(plural => store[plural][0]?.kind === kind) ?? `${kind.toLowerCase()}s`

  function list(all, query) {
    const {
      limit = 100,
      cursor = 0,
      sort = '',
      q = '',
      namespace,
      dryRun: _,
      ...filters
    } = Object.fromEntries(query)
    let items = empty ? [] : [...all]
    const ns = item => item.namespace ?? item.metadata?.namespace ?? item.object?.namespace
    if (namespace) items = items.filter(item => ns(item) === undefined || ns(item) === namespace)
    if (q) items = items.filter(item => JSON.stringify(item).toLowerCase().includes(q.toLowerCase()))
    for (const [name, value] of Object.entries(filters))
      items = items.filter(item => String([item[name]].flat()) === value || item[name]?.includes?.(value))
    const key = sort.replace(/^-/, '')
    const value = item => item[key] ?? item.metadata?.[key] ?? ''
    if (key) items.sort((a, b) => (value(a) < value(b) ? -1 : 1) * (sort.startsWith('-') ? -1 : 1))
    const start = Number(cursor)
    const page = items.slice(start, start + Number(limit))
    const next = start + page.length < items.length ? String(start + page.length) : null
    return { items: page, next, total: items.length, asOf: new Date().toISOString(), freshness: [] }
  }

  function differences(before, after, pointer = '') {
    if (JSON.stringify(before) === JSON.stringify(after)) return []
    const deep = value => value !== null && typeof value === 'object'
    if (!deep(before) || !deep(after)) return [{ pointer, before, after }]
    return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap(name =>
      differences(before[name], after[name], `${pointer}/${name}`),
    )
  }

  /** All or nothing: what would be, and with `write` what is from now on. */
  function change(edits, query) {
    const dryRun = query.get('dryRun') === 'true'
    const objects = edits.map(({ before, after }) => ({
      ...nameOf(after ?? before),
      action: !before ? 'added' : !after ? 'removed' : etag(before) === etag(after) ? 'unchanged' : 'changed',
      fields: before && after ? differences(plain(before), plain(after)) : [],
      before: before ? stringify(plain(before)) : '',
      after: after ? stringify(plain(after)) : '',
      etag: after ? etag(after) : undefined,
    }))
    const changed = objects.filter(object => object.action !== 'unchanged')
    const bad = /\(\[0-9(?!\])/.test(objects.map(object => object.after).join())
    const report = {
      dryRun,
      objects,
      proxies: {
        affected: changed.length > 0 ? 5 : 0,
        total: fixtures.proxies.length,
        drains: changed.some(object => object.kind === 'Gateway'),
        groups:
          changed.length > 0
            ? [
                {
                  group: 'gateway/shop/edge',
                  proxies: fixtures.proxies.slice(0, 5).map(p => p.id),
                  count: 5,
                  types: [
                    { type: 'RDS', added: 0, changed: 1, removed: 0 },
                    { type: 'CDS', added: 1, changed: 0, removed: 0 },
                  ],
                },
              ]
            : [],
        samples:
          changed.length > 0
            ? [
                {
                  group: 'gateway/shop/edge',
                  type: 'RDS',
                  name: 'shop/edge/https',
                  action: 'changed',
                  diff: '@@ virtual_hosts.0.routes.0.route.weighted_clusters @@\n   clusters:\n   - name: shop/orders:80\n-    weight: 90\n+    weight: 70\n   - name: shop/orders-canary:80\n-    weight: 10\n+    weight: 30\n',
                },
              ]
            : [],
      },
      findings: bad ? [fixtures.problems[0]] : [],
      resolved: [],
      gates: [
        { name: 'rights', state: 'passed', text: '' },
        { name: 'documents', state: 'passed', text: '' },
        { name: 'compile', state: 'passed', text: '' },
        bad
          ? { name: 'envoy', state: 'failed', text: 'missing ]: [0-9 in regex' }
          : { name: 'envoy', state: 'passed', text: 'envoy 1.40.0 --mode validate' },
      ],
    }
    if (dryRun || changed.length === 0) return report
    for (const { before, after } of edits) {
      const plural = pluralOf((after ?? before).kind)
      store[plural] = (store[plural] ?? []).filter(document => !same(document, after ?? before))
      if (after) store[plural].push({ ...after, status: before?.status })
      tell('put', { kind: pluralOf((after ?? before).kind), name: (after ?? before).metadata.name })
    }
    const number = revisions.length + 1
    const live = { live: 0, total: 14, refused: 0 }
    revisions[0].current = false
    revisions.unshift({
      ...revisions[0],
      id: `r${number}`,
      hash: randomBytes(8).toString('hex'),
      parent: revisions[0].hash,
      time: new Date().toISOString(),
      author: fixtures.me.subject,
      via: 'console',
      reason: query.get('reason') ?? '',
      current: true,
      errors: 0,
      refusals: [],
      live,
      rollbackOf: undefined,
    })
    const timer = setInterval(() => {
      live.live = Math.min(live.total, live.live + 5)
      if (live.live === live.total) clearInterval(timer)
      tell('put', { kind: 'revisions', name: `r${number}` })
    }, 1000)
    timer.unref()
    return { ...report, revision: `r${number}` }
  }

  function tell(event, data) {
    sequence += 1
    for (const stream of streams)
      stream.write(`id: ${sequence}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
  }
  setInterval(() => tell('mark', { seq: sequence }), 5000).unref()

  function document(method, plural, namespace, name, body, headers, query) {
    const kindOfPath = each => each.metadata.name === name && (each.metadata.namespace ?? '') === namespace
    const before = (store[plural] ?? []).find(kindOfPath)
    if (method === 'GET') {
      if (!before)
        throw new Problem(404, 'ISM9005', 'object not found', `there is no ${plural} ${namespace}/${name}`)
      return { data: before, headers: { etag: etag(before) } }
    }
    if (forbid)
      throw new Problem(
        403,
        'ISM9013',
        'not permitted',
        `the role editor is missing in namespace ${namespace}`,
      )
    if (!headers['if-match'] && !headers['if-none-match'])
      throw new Problem(428, 'ISM9014', 'which version is meant?', 'If-Match is missing')
    const fits = headers['if-none-match'] ? !before : before && headers['if-match'] === etag(before)
    if (!fits)
      throw new Problem(
        412,
        'ISM9015',
        'changed by somebody else',
        `${namespace}/${name} is not what it was`,
        before ? { current: before, currentEtag: etag(before) } : {},
      )
    const after = method === 'DELETE' ? undefined : body
    return { data: change([{ before, after }], query) }
  }

  function api(method, path, query, body, headers) {
    const parts = path.split('/').filter(Boolean).map(decodeURIComponent)
    const [first, second, third, fourth] = parts
    const one = (all, fits, code = 'ISM9005') => {
      const found = all.find(fits)
      if (!found) throw new Problem(404, code, 'not found', `there is nothing at ${path}`)
      return found
    }
    if (first === 'me') return { ...fixtures.me, ...me }
    if (first === 'login') {
      if (body?.token !== 'good') throw new Problem(401, 'ISM9012', 'who are you?', 'the token is not known')
      me = { ...me, loginNeeded: false }
      return {}
    }
    if (first === 'logout') return {}
    if (first === 'validate')
      return {
        findings:
          /kind: HTTPRoute/.test(body) && !/rules:/.test(body)
            ? [{ ...fixtures.problems[1], line: 1, column: 1, text: 'a route without rules' }]
            : [],
      }
    if (first === 'apply') {
      const documents =
        typeof body === 'string' ? parseAllDocuments(body).map(each => each.toJS()) : body.items
      return change(
        documents.filter(Boolean).map(after => ({
          before: Object.values(store)
            .flat()
            .find(each => same(each, after)),
          after,
        })),
        query,
      )
    }
    if (first === 'schemas')
      return {
        type: 'object',
        properties: {
          spec: {
            type: 'object',
            properties: {
              rules: {
                type: 'array',
                items: {
                  type: 'object',
                  properties: { matches: { type: 'array' }, backendRefs: { type: 'array' } },
                },
              },
              hostnames: { type: 'array', items: { type: 'string' } },
            },
          },
        },
      }
    if (first === 'services' && !second) return list(fixtures.services, query)
    if (first === 'services')
      return fixtures.servicePage(
        one(fixtures.services, row => row.namespace === second && row.name === third, 'ISM9008'),
      )
    if (first === 'proxies' && !second) return list(fixtures.proxies, query)
    if (first === 'proxies' && third === 'config') {
      const recorded = JSON.parse(readFileSync(new URL('./config.json', import.meta.url), 'utf8'))
      const types = recorded.types.filter(
        type =>
          !query.get('type') ||
          type.type.toLowerCase().includes(
            {
              LDS: 'listener',
              RDS: 'routeconfig',
              CDS: 'cluster.v3.cluster',
              EDS: 'loadassign',
              SDS: 'secret',
            }[query.get('type')] ?? query.get('type'),
          ),
      )
      return { proxy: second, asOf: new Date().toISOString(), types }
    }
    if (first === 'proxies' && third) return {}
    if (first === 'proxies') return one(fixtures.proxies, proxy => proxy.id === second, 'ISM9006')
    if (first === 'revisions' && !second) return list(revisions, query)
    if (first === 'revisions') {
      const revision = one(revisions, each => each.id === second || each.hash.startsWith(second), 'ISM9020')
      if (third === 'diff') {
        const { objects, proxies } = change(
          [{ before: store.httproutes[0], after: edited(store.httproutes[0]) }],
          new URLSearchParams('dryRun=true'),
        )
        const xds = query.get('scope') === 'xds'
        return {
          base: query.get('base') ?? revision.parent ?? '',
          revision: revision.id,
          objects: xds ? [] : objects,
          types: xds ? proxies.groups[0].types : [],
          resources: xds ? proxies.samples : [],
        }
      }
      if (third === 'rollback')
        return change([{ before: store.httproutes[0], after: edited(store.httproutes[0]) }], query)
      if (third) revision.pinned = third === 'pin'
      return revision
    }
    if (first === 'rollouts')
      return second
        ? { ...fixtures.rollouts[0], state: { pause: 'paused', abort: 'aborted' }[fourth] ?? 'progressing' }
        : list(fixtures.rollouts, query)
    if (first === 'problems' || first === 'findings') return list(fixtures.problems, query)
    if (first === 'sources') return list(fixtures.sources, new URLSearchParams())
    if (first === 'topology') return fixtures.topology()
    if (first === 'traffic')
      return second === 'series'
        ? fixtures.series()
        : { on: true, proxies: 14, requests: 1_204_551, dropped: 0, edges: 31, sampling: 1 }
    if (first === 'requests') return list(fixtures.requests, query)
    if (first === 'audit') return list(fixtures.audit, query)
    if (first === 'events') return list(fixtures.events, query)
    if (first === 'tokens')
      return method === 'POST' ? { id: 't3', token: 'shown-once' } : list(fixtures.tokens, query)
    if (first === 'bindings')
      return { items: [{ subject: 'user:ada@example.com', role: 'admin', namespaces: ['*'] }] }
    if (first === 'why')
      return {
        summary: 'goes to shop/orders',
        outcome: {
          kind: 'forwarded',
          clusters: [
            { cluster: 'shop/orders:80', service: 'shop/orders:80', part: 0.9, endpoints: 3, healthy: 3 },
            {
              cluster: 'shop/orders-canary:80',
              service: 'shop/orders-canary:80',
              part: 0.1,
              endpoints: 1,
              healthy: 1,
            },
          ],
          mirrors: [],
        },
        steps: [
          {
            stage: 'listener',
            text: 'listener https of gateway shop/edge, port 443',
            object: { kind: 'Gateway', namespace: 'shop', name: 'edge' },
            pointer: '/spec/listeners/1',
            sure: true,
            near: [],
          },
          {
            stage: 'route',
            text: 'prefix /orders',
            object: { kind: 'HTTPRoute', namespace: 'shop', name: 'orders' },
            pointer: '/spec/rules/0',
            sure: true,
            near: [
              {
                text: 'prefix /orders/search: the path is shorter',
                object: { kind: 'HTTPRoute', namespace: 'shop', name: 'orders' },
                pointer: '/spec/rules/1',
              },
            ],
          },
        ],
        revision: 'r42',
      }
    if (first === 'registries' && third) {
      const all = fixtures.registryServices[`${second}/${third}`]
      if (!all)
        throw new Problem(404, 'ISM9005', 'object not found', `there is no Registry ${second}/${third}`)
      if (method === 'POST')
        return fourth === 'test'
          ? list(
              [
                {
                  address: '10.1.0.4:8848',
                  latencyMs: 3,
                  version: '3.0.3',
                  authenticated: true,
                  services: 12,
                },
                { address: '10.1.0.5:8848', error: 'connection refused' },
              ],
              new URLSearchParams(),
            )
          : { what: fourth }
      if (fourth === 'services' && parts[5])
        return list(fixtures.servicePage(fixtures.services[0]).instances, new URLSearchParams())
      if (fourth === 'services') return list(all, query)
      if (fourth === 'events') return list(fixtures.registryEvents, query)
      return one(store.registries, each => each.metadata.name === third)
    }
    if (first === 'namespaces' && third) {
      if (!parts[3]) {
        query.set('namespace', second)
        return list(store[third] ?? [], query)
      }
      return document(method, third, second, parts[3], body, headers, query)
    }
    if (second) return document(method, first, '', second, body, headers, query)
    return list(store[first] ?? [], query)
  }

  function edited(document) {
    const copy = structuredClone(document)
    copy.spec.rules[0].backendRefs[0].weight = 70
    copy.spec.rules[0].backendRefs[1].weight = 30
    return copy
  }

  function file(path, response) {
    const nonce = randomBytes(12).toString('base64')
    const wanted = join(dist, normalize(path))
    const found = path !== '/' && extname(path) && existsSync(wanted) ? wanted : join(dist, 'index.html')
    if (!existsSync(found)) return response.writeHead(404).end('build the console first: npm run build\n')
    const type = TYPES[extname(found)] ?? 'application/octet-stream'
    const headers = { 'content-type': type }
    let content = readFileSync(found)
    if (type.startsWith('text/html')) {
      content = content.toString().replaceAll('__CSP_NONCE__', nonce)
      headers['content-security-policy'] =
        `default-src 'none'; script-src 'self'; style-src 'self' 'nonce-${nonce}'; img-src 'self' data:; connect-src 'self'; worker-src 'self'; font-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'`
    }
    response.writeHead(200, headers).end(content)
  }

  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://mock')
    if (!pathname.startsWith('/api/v1')) return file(pathname, response)
    const path = pathname.slice('/api/v1'.length)
    if (path === '/watch') {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
      response.write(`id: ${sequence}\nevent: mark\ndata: {}\n\n`)
      streams.add(response)
      request.on('close', () => streams.delete(response))
      return
    }
    let body = ''
    for await (const chunk of request) body += chunk
    const type = request.headers['content-type'] ?? ''
    try {
      const isOne = path.startsWith('/namespaces/') || path.split('/').length > 2
      const content = !body
        ? undefined
        : type.includes('json')
          ? JSON.parse(body)
          : isOne && path !== '/validate'
            ? parse(body)
            : body
      const answer = api(request.method, path, searchParams, content, request.headers)
      const { data, headers = {} } = answer && 'data' in answer ? answer : { data: answer }
      response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(data))
    } catch (error) {
      if (!(error instanceof Problem)) console.error(error)
      const body = error.body ?? {
        type: '/errors/ISM9000',
        title: 'internal error',
        status: 500,
        detail: '',
        code: 'ISM9000',
        hint: '',
        retryable: true,
      }
      response
        .writeHead(body.status, { 'content-type': 'application/problem+json' })
        .end(JSON.stringify({ ...body, instance: `mock-${sequence}` }))
    }
  })
  return {
    server,
    tell,
    cut: () => {
      for (const stream of streams) stream.destroy()
    },
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const port = Number(process.argv[2] ?? 8090)
  mock().server.listen(port, '127.0.0.1', () => console.log(`http://127.0.0.1:${port}`))
}
