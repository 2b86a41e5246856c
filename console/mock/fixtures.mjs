// Answers in the shapes of the contract, for work on screens without a control plane. Nothing here is random, so that
// pictures of two runs can be laid beside each other.

const now = Date.now()
export const ago = seconds => new Date(now - seconds * 1000).toISOString()
const pick = (list, index) => list[index % list.length]
const wave = (index, size) => Math.abs(Math.sin(index * 12.9898 + 78.233)) * size

const GATEWAY = 'gateway.networking.k8s.io/v1'
const ISTHMUS = 'isthmus.dev/v1alpha1'
const condition = (type, status, reason, message) => ({
  type,
  status,
  reason,
  message,
  observedGeneration: 0,
  lastTransitionTime: ago(5400),
})

export const me = {
  subject: 'ada@example.com',
  via: 'session',
  roles: [{ role: 'admin', namespaces: ['*'] }],
  writeMode: 'direct',
  version: '0.1.0',
  replica: 'isthmus-0',
  oidc: true,
  loginNeeded: false,
}

const backend = (name, weight) => ({ group: 'isthmus.dev', kind: 'MeshService', name, port: 80, weight })
const route = (namespace, name, host, rules, more = {}) => ({
  apiVersion: GATEWAY,
  kind: 'HTTPRoute',
  metadata: { namespace, name, labels: { team: namespace }, ...more.metadata },
  spec: { parentRefs: [{ name: 'edge', namespace: 'shop' }], hostnames: [host], rules },
  status: {
    parents: [
      {
        parentRef: { group: 'gateway.networking.k8s.io', kind: 'Gateway', namespace: 'shop', name: 'edge' },
        controllerName: 'isthmus.dev/gateway-controller',
        conditions: more.conditions ?? [
          condition('Accepted', 'True', 'Accepted', 'the route is attached'),
          condition('ResolvedRefs', 'True', 'ResolvedRefs', 'all references are resolved'),
        ],
      },
    ],
  },
})
const prefix = value => [{ path: { type: 'PathPrefix', value } }]

const gateway = (namespace, name, listeners, programmed) => ({
  apiVersion: GATEWAY,
  kind: 'Gateway',
  metadata: { namespace, name },
  spec: { gatewayClassName: 'isthmus', listeners },
  status: {
    addresses: [{ type: 'IPAddress', value: '10.20.0.7' }],
    conditions: [
      condition('Accepted', 'True', 'Accepted', 'the Gateway is valid'),
      condition(
        'Programmed',
        programmed ? 'True' : 'False',
        programmed ? 'Programmed' : 'Pending',
        programmed ? 'all proxies have it' : 'no proxy of this Gateway is connected yet',
      ),
    ],
    listeners: listeners.map(listener => ({
      name: listener.name,
      attachedRoutes: listener.protocol === 'HTTP' ? 1 : 6,
      supportedKinds: [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute' }],
      conditions: [
        condition('Accepted', 'True', 'Accepted', 'the listener is valid'),
        condition('ResolvedRefs', 'True', 'ResolvedRefs', 'all references are resolved'),
        condition('Programmed', programmed ? 'True' : 'False', programmed ? 'Programmed' : 'Pending', ''),
      ],
    })),
  },
})
const tls = { mode: 'Terminate', certificateRefs: [{ name: 'shop-tls' }] }

export const documents = {
  gatewayclasses: [
    {
      apiVersion: GATEWAY,
      kind: 'GatewayClass',
      metadata: { name: 'isthmus' },
      spec: { controllerName: 'isthmus.dev/gateway-controller' },
      status: { conditions: [condition('Accepted', 'True', 'Accepted', '')] },
    },
  ],
  gateways: [
    gateway(
      'shop',
      'edge',
      [
        { name: 'http', port: 80, protocol: 'HTTP' },
        { name: 'https', port: 443, protocol: 'HTTPS', hostname: '*.example.com', tls },
      ],
      true,
    ),
    gateway('shop', 'internal', [{ name: 'http', port: 8080, protocol: 'HTTP' }], true),
    gateway('pay', 'partners', [{ name: 'https', port: 8443, protocol: 'HTTPS', tls }], false),
  ],
  httproutes: [
    route('shop', 'orders', 'shop.example.com', [
      {
        name: 'orders',
        matches: prefix('/orders'),
        backendRefs: [backend('orders', 90), backend('orders-canary', 10)],
        timeouts: { request: '5s' },
      },
      { matches: prefix('/orders/search'), backendRefs: [backend('search', 1)] },
    ]),
    route('shop', 'pay', 'shop.example.com', [{ matches: prefix('/pay'), backendRefs: [backend('pay', 1)] }]),
    route('shop', 'catalog', 'shop.example.com', [
      {
        matches: [{ path: { type: 'RegularExpression', value: '/items/([0-9' } }],
        backendRefs: [backend('catalog', 1)],
      },
    ]),
    route('shop', 'old', 'old.example.com', [
      {
        matches: prefix('/'),
        filters: [
          { type: 'RequestRedirect', requestRedirect: { hostname: 'shop.example.com', statusCode: 301 } },
        ],
      },
    ]),
    route(
      'pay',
      'partners',
      'partners.example.com',
      [{ matches: prefix('/'), backendRefs: [backend('partner-api', 1)] }],
      {
        conditions: [
          condition('Accepted', 'True', 'Accepted', 'the route is attached'),
          condition('ResolvedRefs', 'False', 'BackendNotFound', 'there is no MeshService pay/partner-api'),
        ],
      },
    ),
    route('shop', 'static', 'static.example.com', [
      { matches: prefix('/'), backendRefs: [backend('assets', 1)] },
    ]),
  ],
  grpcroutes: [
    {
      ...route('shop', 'inventory', 'grpc.example.com', [
        { matches: [{ method: { service: 'shop.Inventory' } }], backendRefs: [backend('inventory', 1)] },
      ]),
      kind: 'GRPCRoute',
    },
  ],
  registries: ['n1', 'eureka-old', 'zk-dubbo'].map((name, index) => ({
    apiVersion: ISTHMUS,
    kind: 'Registry',
    metadata: { namespace: 'infra', name },
    spec: {
      type: pick(['Nacos', 'Eureka', 'ZooKeeper'], index),
      addresses: pick(
        [
          ['10.1.0.4:8848', '10.1.0.5:8848', '10.1.0.6:8848'],
          ['http://10.1.0.9:8761/eureka'],
          ['10.1.0.21:2181'],
        ],
        index,
      ),
    },
  })),
  accesspolicies: [
    {
      apiVersion: ISTHMUS,
      kind: 'AccessPolicy',
      metadata: { namespace: 'shop', name: 'orders-callers' },
      spec: { targetRefs: [{ group: 'isthmus.dev', kind: 'MeshService', name: 'orders' }], action: 'Allow' },
    },
  ],
  namespaces: ['infra', 'pay', 'shop'].map(name => ({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name },
  })),
}
documents.meshservices = []

const NAMES = [
  'orders',
  'orders-canary',
  'pay',
  'catalog',
  'search',
  'inventory',
  'assets',
  'web',
  'users',
  'carts',
  'reviews',
  'mail',
  'stock',
  'prices',
  'coupons',
  'billing',
  'ledger',
  'fraud',
  'report',
  'partner-sync',
]

export const services = NAMES.flatMap((name, index) =>
  pick([['shop'], ['shop', 'pay']], index).map((namespace, second) => {
    const endpoints = 2 + ((index * 7) % 9)
    const state = pick(['live', 'live', 'live', 'live', 'degraded', 'live', 'lost'], index + second * 3)
    const quiet = index % 6 === 5
    return {
      namespace,
      name,
      kind: index % 5 === 3 ? 'Service' : 'MeshService',
      sources: pick(
        [
          ['registry:infra/n1'],
          ['kubernetes'],
          ['registry:infra/n1', 'kubernetes'],
          ['registry:infra/eureka-old'],
          ['file'],
        ],
        index,
      ),
      healthy: state === 'live' ? endpoints : endpoints - 1,
      endpoints,
      held: state === 'lost' ? endpoints : 0,
      protocols: [pick(['http', 'http', 'grpc', 'tcp'], index)],
      ports: [80],
      hosts: [`${name}.${namespace}.svc`],
      routes: index % 4,
      callers: index % 7,
      policies: index % 3,
      state,
      ...(quiet
        ? {}
        : {
            rate: 3 + wave(index, 400),
            errors: index % 8 === 2 ? 0.034 : wave(index, 0.004),
            p99: 8 + wave(index, 180),
          }),
      changed: ago(40 + wave(index, 90_000)),
    }
  }),
)

export function servicePage(row) {
  const instances = Array.from({ length: row.endpoints }, (_, index) => ({
    source: pick(row.sources, index),
    host: `10.2.${row.name.length}.${11 + index}`,
    port: 8080,
    weight: index === 1 ? 0.5 : 1,
    health: index >= row.healthy ? (row.state === 'lost' ? 'unhealthy' : 'draining') : 'healthy',
    reason: index >= row.healthy ? 'Nacos: healthy=false' : '',
    region: 'cn-east',
    zone: pick(['a', 'b', 'c'], index),
    secure: false,
    labels: { version: index % 3 === 2 ? 'v2' : 'v1', 'isthmus.dev/lane': index === 2 ? 'gray' : '' },
    held: row.held > 0,
    firstSeen: ago(90_000),
    lastSeen: ago(row.held > 0 ? 260 : 4),
    changed: ago(600 + 40 * index),
  }))
  return {
    ...row,
    instances,
    callerNames: [
      ['shop/web', 'observed'],
      ['shop/carts', 'observed'],
      ['report', 'declared'],
    ].slice(0, row.callers),
    routeNames: ['HTTPRoute shop/orders /spec/rules/0', 'HTTPRoute shop/pay /spec/rules/0'].slice(
      0,
      row.routes,
    ),
    policyNames: ['AccessPolicy shop/orders-callers'].slice(0, row.policies),
  }
}

const NACK = {
  at: ago(75),
  text: "Error adding/updating virtual host shop: missing ]: [0-9 in regex '/items/([0-9'",
  origins: ['HTTPRoute shop/catalog /spec/rules/0'],
}

export const proxies = Array.from({ length: 14 }, (_, index) => {
  const role = index < 5 ? 'gateway' : 'sidecar'
  const refused = index === 1
  const behind = index === 3
  const scope =
    role === 'gateway'
      ? pick(['shop/edge', 'shop/edge', 'shop/internal'], index)
      : `shop/${pick(NAMES, index)}`
  const types = ['CDS', 'EDS', 'LDS', 'RDS', 'SDS'].map((type, nth) => ({
    type,
    state: refused && type === 'RDS' ? 'nack' : behind && type === 'EDS' ? 'pending' : 'ok',
    resources: [24, 24, 2, 2, 1][nth],
    ...(refused && type === 'RDS' ? { nack: NACK } : {}),
  }))
  return {
    id:
      role === 'gateway' ? `edge-7f9c-${'xabcd'[index]}${index}` : `${pick(NAMES, index)}-5d-9k${index}.shop`,
    role,
    scope,
    envoy: index === 4 ? '1.38.2' : '1.40.0',
    protocol: index === 2 ? 'sotw' : 'delta',
    address: `10.3.0.${20 + index}:41${index}20`,
    region: 'cn-east',
    zone: pick(['a', 'b', 'c'], index),
    connectedAt: ago(3600 * (2 + index * 5)),
    wanted: 'c0ffee42',
    held: refused || behind ? 'c0ffee41' : 'c0ffee42',
    lagMs: refused ? 75_000 : behind ? 14_000 : 0,
    types,
    inStep: !refused && !behind,
    revision: 'r42',
    heldRevision: refused || behind ? 'r41' : 'r42',
    edition: '',
  }
})

export const refusals = [
  {
    at: NACK.at,
    type: 'RDS',
    text: NACK.text,
    origins: NACK.origins,
    proxies: [proxies[1].id],
    revision: 'r42',
    serving: 'the form of r41',
  },
]

export const revisions = Array.from({ length: 42 }, (_, index) => {
  const number = 42 - index
  return {
    id: `r${number}`,
    hash: (0xc0ffee00 + number).toString(16).padEnd(16, '0'),
    parent: number > 1 ? (0xc0ffee00 + number - 1).toString(16).padEnd(16, '0') : undefined,
    time: ago(80 + index * index * 1900),
    author: pick(['ada@example.com', 'infra/n1', 'lin@example.com', 'file'], index),
    via: pick(['console', 'registry', 'cli', 'file'], index),
    reason: pick(['canary to 10 %', '', 'raise the timeout of orders', ''], index),
    objects: { added: index % 5 === 2 ? 2 : 0, changed: 1 + (index % 3), removed: index % 9 === 4 ? 1 : 0 },
    pinned: number === 37,
    current: index === 0,
    errors: index === 0 ? 1 : 0,
    ...(index === 0 ? { live: { live: 12, total: 14, refused: 1 } } : {}),
    refusals: index === 0 ? refusals : [],
    ...(number === 35 ? { rollbackOf: 'r33' } : {}),
  }
})

const finding = (code, severity, object, pointer, text, hint, more = {}) => ({
  code,
  severity,
  source: 'file',
  ...more,
  object,
  pointer,
  text,
  hint,
  firstSeen: ago(75 + code.charCodeAt(6) * 300),
  proxies: more.proxies ?? [],
})
const httproute = (namespace, name) => ({ kind: 'HTTPRoute', namespace, name })
export const problems = [
  finding(
    'ISM3107',
    'error',
    httproute('shop', 'catalog'),
    '/spec/rules/0',
    `Envoy refused it: ${NACK.text}`,
    'the proxies serve the form of r41 meanwhile',
    { proxies: [proxies[1].id] },
  ),
  finding(
    'ISM1203',
    'error',
    httproute('pay', 'partners'),
    '/spec/rules/0/backendRefs/0',
    'there is no MeshService pay/partner-api',
    'requests get 500 until there is one',
    { file: 'pay/routes.yaml', line: 17, column: 9 },
  ),
  finding(
    'ISM2104',
    'warning',
    { kind: 'Registry', namespace: 'infra', name: 'eureka-old' },
    '',
    'the registry does not answer: connection refused',
    'what it last said is served on',
    { source: 'infra/eureka-old' },
  ),
  finding(
    'ISM1310',
    'warning',
    { kind: 'Gateway', namespace: 'shop', name: 'edge' },
    '/spec/listeners/1/tls',
    'the certificate shop-tls ends in 12 days',
    'renew it',
  ),
  finding(
    'ISM1105',
    'info',
    httproute('shop', 'static'),
    '/spec/rules/0',
    'no endpoint of shop/assets is in zone b',
    '',
  ),
]

export const sources = [
  {
    name: 'kubernetes',
    kind: 'kubernetes',
    target: 'https://10.0.0.1:6443',
    state: 'live',
    reason: '',
    objects: 1240,
    freshAt: ago(2),
  },
  {
    name: 'file',
    kind: 'file',
    target: '/etc/isthmus',
    state: 'live',
    reason: '',
    objects: 38,
    freshAt: ago(1),
  },
  {
    name: 'infra/n1',
    kind: 'nacos',
    target: '10.1.0.4:8848',
    state: 'live',
    reason: '',
    objects: 212,
    freshAt: ago(3),
  },
  {
    name: 'infra/eureka-old',
    kind: 'eureka',
    target: 'http://10.1.0.9:8761/eureka',
    state: 'lost',
    reason: 'connection refused since 4 m; 31 services are served as they were',
    objects: 31,
    freshAt: ago(260),
  },
  {
    name: 'infra/zk-dubbo',
    kind: 'zookeeper',
    target: '10.1.0.21:2181',
    state: 'degraded',
    reason: '1 of 3 addresses does not answer',
    objects: 54,
    freshAt: ago(5),
  },
]

export const registryServices = {
  'infra/n1': NAMES.slice(0, 12).map((name, index) => ({
    group: 'DEFAULT_GROUP',
    name,
    state: 'live',
    reason: '',
    since: ago(86_000),
    seenAt: ago(2 + index),
    instances: 2 + (index % 5),
    healthy: 2 + (index % 5) - (index === 3 ? 1 : 0),
    held: 0,
    frozen: index === 5,
    consumers: ['web', 'carts'].slice(0, index % 3),
    importedAs: `shop/${name}`,
  })),
  'infra/eureka-old': ['BILLING', 'LEDGER', 'FRAUD'].map((name, index) => ({
    group: '',
    name,
    state: 'lost',
    reason: 'connection refused',
    since: ago(260),
    seenAt: ago(260),
    instances: 3,
    healthy: 3,
    held: 3,
    heldSince: ago(230 - index),
    frozen: false,
    consumers: [],
    importedAs: `pay/${name.toLowerCase()}`,
  })),
  'infra/zk-dubbo': [
    {
      group: '',
      name: 'com.example.stock.StockService',
      state: 'degraded',
      reason: '',
      since: ago(900),
      seenAt: ago(5),
      instances: 4,
      healthy: 4,
      held: 0,
      frozen: false,
      consumers: ['orders'],
      importedAs: 'shop/stock',
    },
  ],
}

export const registryEvents = [
  { at: ago(260), service: '', what: 'lost', why: 'connection refused', before: 31, after: 31, held: 31 },
  {
    at: ago(4000),
    service: 'LEDGER',
    what: 'removed',
    why: 'cancelled by the instance itself',
    before: 4,
    after: 3,
    held: 0,
  },
  {
    at: ago(9000),
    service: 'BILLING',
    what: 'held',
    why: '2 of 3 gone within 10 s: too many to believe',
    before: 3,
    after: 3,
    held: 2,
  },
]

export function series() {
  const step = 10
  const times = Array.from({ length: 90 }, (_, index) => Math.floor(now / 1000) - (90 - index) * step)
  const column = (base, size, gap) =>
    times.map((_, index) => (gap && index > 50 && index < 55 ? null : base + wave(index, size)))
  return {
    step,
    times,
    rate: column(420, 60, true),
    status4xx: column(2, 3, true),
    status5xx: times.map((_, index) => (index > 80 ? 4 + wave(index, 5) : wave(index, 0.8))),
    p50: column(6, 2, true),
    p90: column(21, 6, true),
    p99: column(70, 40, true),
  }
}

export function topology() {
  const layers = [
    [['outside', 'outside', '', '']],
    [
      ['gateway/shop/edge', 'gateway', 'shop', 'edge'],
      ['gateway/shop/internal', 'gateway', 'shop', 'internal'],
    ],
    NAMES.slice(0, 6).map(n => [`service/shop/${n}`, 'service', 'shop', n]),
    NAMES.slice(6, 12).map(n => [`service/shop/${n}`, 'service', 'shop', n]),
  ]
  const nodes = layers.flatMap((layer, x) =>
    layer.map(([id, kind, namespace, name], y) => ({
      id,
      kind,
      namespace,
      name: name || id,
      sources: kind === 'service' ? ['nacos'] : [],
      healthy: kind === 'service' ? (y === 3 ? 2 : 3) : 0,
      endpoints: kind === 'service' ? 3 : 0,
      members: 0,
      problems: name === 'catalog' ? 1 : 0,
      x: 120 + x * 260,
      y: 60 + y * 110 + (6 - layer.length) * 50,
    })),
  )
  const edge = (source, target, kind, rate, errors = 0) => ({
    source,
    target,
    kind,
    protocol: 'http',
    mtls: target.startsWith('service'),
    rate,
    errors,
    ...(rate ? { p50: 6, p99: 40 + rate / 4 } : {}),
    routes: [],
    lanes: [],
  })
  const edges = [
    edge('outside', 'gateway/shop/edge', 'observed', 420, 0.004),
    edge('outside', 'gateway/shop/internal', 'observed', 12),
  ]
  NAMES.slice(0, 6).forEach((n, i) => {
    edges.push(
      edge(
        i === 5 ? 'gateway/shop/internal' : 'gateway/shop/edge',
        `service/shop/${n}`,
        i === 4 ? 'configured' : 'observed',
        i === 4 ? 0 : 200 / (i + 1),
        i === 2 ? 0.06 : 0,
      ),
    )
    edges.push(
      edge(
        `service/shop/${n}`,
        `service/shop/${NAMES[6 + ((i * 5) % 6)]}`,
        i % 3 === 2 ? 'declared' : 'observed',
        i % 3 === 2 ? 0 : 80 / (i + 1),
      ),
    )
  })
  return {
    nodes,
    edges,
    asOf: new Date().toISOString(),
    window: 300,
    grouped: false,
    width: 1040,
    height: 700,
  }
}

export const requests = Array.from({ length: 120 }, (_, index) => {
  const status = index % 17 === 3 ? 503 : index % 11 === 5 ? 404 : 200
  return {
    at: ago(index * 0.7),
    proxy: proxies[index % 3].id,
    role: 'gateway',
    source: 'outside',
    target: status === 404 ? '' : `service/shop/${pick(NAMES, index)}`,
    route: status === 404 ? '' : 'shop/orders',
    rule: 0,
    lane: index % 9 === 4 ? 'gray' : '',
    protocol: 'HTTP/2',
    method: pick(['GET', 'GET', 'POST'], index),
    host: 'shop.example.com',
    path: pick(['/orders/1842', '/pay', '/items/7', '/orders/search'], index),
    status,
    grpcStatus: null,
    duration: 4 + wave(index, 120),
    upstreamDuration: 3 + wave(index, 110),
    bytesIn: 240,
    bytesOut: 1800 + index,
    remote: '203.0.113.9',
    upstream: '10.2.6.11:8080',
    cluster: 'shop/orders',
    attempts: 1,
    flags: status === 503 ? ['no healthy upstream'] : [],
    userAgent: 'curl/8.9',
    requestId: `req-${1000 + index}`,
    forwardedFor: '203.0.113.9',
    details: status === 503 ? 'no_healthy_upstream' : status === 404 ? 'route_not_found' : '',
    custom: {},
  }
})

export const rollouts = [
  {
    namespace: 'shop',
    name: 'edge',
    state: 'progressing',
    reason: '',
    from: revisions[1].hash,
    to: revisions[0].hash,
    started: ago(300),
    step: 1,
    steps: 3,
    proxies: proxies.slice(0, 3).map(p => p.id),
    total: 14,
    gates: [
      { name: 'acks', state: 'passing', text: '3 of 3', value: 1, limit: 1 },
      { name: 'errorRatio', state: 'passing', text: '0.4 % of at most 2 %', value: 0.004, limit: 0.02 },
      { name: 'p99', state: 'unknown', text: 'fewer than 50 requests' },
    ],
  },
]

export const audit = revisions.slice(0, 20).map((revision, index) => ({
  at: revision.time,
  subject: revision.author,
  via: 'session',
  client: revision.via,
  address: '10.0.0.5',
  verb: pick(['put', 'apply', 'delete', 'rollback'], index),
  path: '/api/v1/namespaces/shop/httproutes/orders',
  objects: ['HTTPRoute shop/orders'],
  namespaces: ['shop'],
  reason: revision.reason,
  result: index === 4 ? 'denied' : 'done',
  status: index === 4 ? 403 : 200,
  ...(index === 4 ? { code: 'ISM9013' } : { revision: revision.id }),
  changes: ['HTTPRoute shop/orders changed: /spec/rules/0/backendRefs/1/weight'],
  requestId: `req-${index}`,
}))

export const tokens = [
  {
    id: 't1',
    name: 'ci',
    grants: [{ role: 'editor', namespaces: ['shop'] }],
    created: ago(900_000),
    by: 'ada@example.com',
    expires: ago(-4_000_000),
    lastUsed: ago(300),
  },
]

export const events = [
  {
    at: ago(75),
    kind: 'proxy',
    what: 'refused',
    namespace: 'shop',
    name: proxies[1].id,
    text: `RDS: ${NACK.text} (HTTPRoute shop/catalog)`,
  },
  {
    at: ago(80),
    kind: 'revision',
    what: 'made',
    namespace: '',
    name: 'r42',
    text: 'by ada@example.com: canary to 10 %',
  },
  {
    at: ago(260),
    kind: 'registry',
    what: 'lost',
    namespace: 'infra',
    name: 'eureka-old',
    text: 'connection refused',
  },
  { at: ago(7200), kind: 'proxy', what: 'connected', namespace: 'shop', name: proxies[0].id, text: '' },
]
