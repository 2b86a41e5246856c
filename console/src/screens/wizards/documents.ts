// What the wizards write: documents, from answers. Pure, so that a test can read them.

import { stringify } from 'yaml'
import type { Document } from '../../api/types'

/** Parts of 1000: weights in steps of 0.1 %. */
export const WHOLE = 1000

export function yamlOf(documents: Document[]): string {
  return documents.map(({ status: _, ...document }) => stringify(document, { lineWidth: 0 })).join('---\n')
}

export interface Backend {
  kind: 'Service' | 'MeshService'
  namespace: string
  name: string
  port: number
}

/** `10.0.0.1:80, [::1]:8080` and so on; those that are no address are told. */
export function addresses(text: string): { good: { address: string; port: number }[]; bad: string[] } {
  const good: { address: string; port: number }[] = []
  const bad: string[] = []
  for (const part of text.split(/[\s,]+/).filter(Boolean)) {
    const found = /^(?:\[([0-9a-fA-F:]+)\]|([^\s:[\]/@]+)):(\d{1,5})$/.exec(part)
    const port = Number(found?.[3])
    if (found && port >= 1 && port <= 65_535) good.push({ address: found[1] ?? found[2] ?? '', port })
    else bad.push(part)
  }
  return { good, bad }
}

export function meshService(
  namespace: string,
  name: string,
  port: number,
  endpoints: { address: string; port: number }[],
): Document {
  return {
    apiVersion: 'isthmus.dev/v1alpha1',
    kind: 'MeshService',
    metadata: { name, namespace },
    spec: { ports: [{ name: 'http', port }], sources: [{ static: { endpoints } }] },
  }
}

export function gateway(
  namespace: string,
  name: string,
  port: number,
  classMissing: boolean,
  address?: string,
): Document[] {
  const one: Document = {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { name, namespace },
    spec: {
      gatewayClassName: 'isthmus',
      ...(address ? { addresses: [{ type: 'IPAddress', value: address }] } : {}),
      listeners: [{ name: 'http', port, protocol: 'HTTP', allowedRoutes: { namespaces: { from: 'All' } } }],
    },
  }
  const made: Document = {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'GatewayClass',
    metadata: { name: 'isthmus' },
    spec: { controllerName: 'isthmus.dev/gateway-controller' },
  }
  return classMissing ? [made, one] : [one]
}

export function backendRef(backend: Backend, from: string, weight?: number) {
  return {
    ...(backend.kind === 'MeshService' ? { group: 'isthmus.dev', kind: 'MeshService' } : {}),
    name: backend.name,
    ...(backend.namespace !== from ? { namespace: backend.namespace } : {}),
    port: backend.port,
    ...(weight === undefined ? {} : { weight }),
  }
}

export interface Publish {
  namespace: string
  name: string
  gateway: { namespace: string; name: string; listener?: string }
  hosts: string[]
  path: string
  match: 'PathPrefix' | 'Exact' | 'RegularExpression'
  backend: Backend
}

export function route(answers: Publish): Document {
  const { namespace, name, gateway: parent, hosts, path, match, backend } = answers
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name, namespace },
    spec: {
      parentRefs: [
        {
          name: parent.name,
          ...(parent.namespace !== namespace ? { namespace: parent.namespace } : {}),
          ...(parent.listener ? { sectionName: parent.listener } : {}),
        },
      ],
      ...(hosts.length > 0 ? { hostnames: hosts } : {}),
      rules: [
        {
          matches: [{ path: { type: match, value: path } }],
          backendRefs: [backendRef(backend, namespace)],
        },
      ],
    },
  }
}

/** Lets routes of one namespace use a service of another. */
export function grant(from: string, backend: Backend): Document | undefined {
  if (from === backend.namespace) return undefined
  const group = backend.kind === 'MeshService' ? 'isthmus.dev' : ''
  return {
    apiVersion: 'gateway.networking.k8s.io/v1beta1',
    kind: 'ReferenceGrant',
    metadata: { name: `${from}-to-${backend.name}`, namespace: backend.namespace },
    spec: {
      from: [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', namespace: from }],
      to: [{ group, kind: backend.kind, name: backend.name }],
    },
  }
}

/** The same route with these weights at a rule's back ends; all else is as it was. */
export function withWeights(document: Document, rule: number, weights: number[]): Document {
  const copy = structuredClone(document)
  const refs = copy.spec?.rules?.[rule]?.backendRefs
  weights.forEach((weight, index) => {
    if (refs?.[index]) refs[index].weight = weight
  })
  return copy
}

/** A second back end without traffic, and at will one that is sent copies. */
export function withBackend(document: Document, rule: number, backend: Backend, mirror: boolean): Document {
  const copy = structuredClone(document)
  const from = copy.metadata.namespace ?? ''
  const target = copy.spec.rules[rule]
  const refs = target.backendRefs ?? []
  const fresh = backendRef(backend, from, 0)
  const same = (ref: Record<string, unknown>) =>
    ref.name === fresh.name &&
    (ref.namespace ?? from) === (fresh.namespace ?? from) &&
    ref.port === fresh.port
  for (const ref of refs) ref.weight = scaled(ref.weight ?? 1, refs)
  if (!refs.some(same)) refs.push(fresh)
  target.backendRefs = refs
  if (mirror) return withMirror(copy, rule, backend)
  return copy
}

/** Weights to parts of `WHOLE`, so that a step is 0.1 %. */
function scaled(weight: number, refs: { weight?: number }[]): number {
  const total = refs.reduce((sum, ref) => sum + (ref.weight ?? 1), 0)
  return total > 0 ? Math.round((weight / total) * WHOLE) : 0
}

export function withMirror(document: Document, rule: number, backend: Backend): Document {
  const copy = structuredClone(document)
  const from = copy.metadata.namespace ?? ''
  const target = copy.spec.rules[rule]
  const others = (target.filters ?? []).filter((filter: { type: string }) => filter.type !== 'RequestMirror')
  target.filters = [
    ...others,
    { type: 'RequestMirror', requestMirror: { backendRef: backendRef(backend, from) } },
  ]
  return copy
}

export function withoutMirror(document: Document, rule: number): Document {
  const copy = structuredClone(document)
  const target = copy.spec.rules[rule]
  const left = (target.filters ?? []).filter((filter: { type: string }) => filter.type !== 'RequestMirror')
  if (left.length > 0) target.filters = left
  else delete target.filters
  return copy
}

/** Each back end's part of a rule's traffic, 0 to 1. */
export function parts(refs: { weight?: number }[]): number[] {
  const total = refs.reduce((sum, ref) => sum + (ref.weight ?? 1), 0)
  return refs.map(ref => (total > 0 ? (ref.weight ?? 1) / total : 0))
}

/** Where a route says which of its rules is blue-green: `RULE`. */
export const BLUE_GREEN = 'isthmus.dev/blue-green'

export interface Cascade {
  namespace: string
  name: string
  gateway: { namespace: string; name: string }
  hosts: string[]
  path: string
  blue: Backend
  green: Backend
}

/** The edge's route: all to blue, and green ready beside it. */
export function blueGreen(answers: Cascade): Document {
  const document = route({ ...answers, match: 'PathPrefix', backend: answers.blue })
  const rule = document.spec.rules[0]
  rule.backendRefs = [
    backendRef(answers.blue, answers.namespace, 100),
    backendRef(answers.green, answers.namespace, 0),
  ]
  document.metadata.annotations = { [BLUE_GREEN]: '0' }
  return document
}

/** Which rule of a route is blue-green, where one is. */
export function blueGreenRule(document: Document): number | undefined {
  const said = document.metadata.annotations?.[BLUE_GREEN]
  const rule = said === undefined ? Number.NaN : Number(said)
  const refs = Number.isInteger(rule) ? document.spec?.rules?.[rule]?.backendRefs : undefined
  return Array.isArray(refs) && refs.length === 2 ? rule : undefined
}

export interface Connect {
  namespace: string
  name: string
  type: string
  addresses: string[]
  username: string
  passwordFile: string
  tokenFile: string
  into: string
  nacosNamespaces: string[]
}

export function registry(answers: Connect): Document {
  const { namespace, name, type, into } = answers
  const login = {
    ...(answers.username ? { username: answers.username } : {}),
    ...(answers.passwordFile ? { passwordFile: answers.passwordFile } : {}),
    ...(answers.tokenFile ? { tokenFile: answers.tokenFile } : {}),
  }
  return {
    apiVersion: 'isthmus.dev/v1alpha1',
    kind: 'Registry',
    metadata: { name, namespace },
    spec: {
      type,
      addresses: answers.addresses,
      ...(Object.keys(login).length > 0 ? { login } : {}),
      ...(type === 'Nacos' && answers.nacosNamespaces.length > 0
        ? { nacos: { namespaces: answers.nacosNamespaces } }
        : {}),
      import: into ? { namespace: into } : {},
    },
  }
}
