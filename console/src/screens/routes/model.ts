// Routes of the Gateway API as the screens read them. Fields that are not named here are kept as they are.

import type { Document } from '../../api/types'

export interface Ref {
  group?: string
  kind?: string
  namespace?: string
  name: string
  port?: number
  weight?: number
  sectionName?: string
}

export interface Match {
  path?: { type?: string; value?: string }
  method?: string | { type?: string; service?: string; method?: string }
  headers?: { type?: string; name: string; value: string }[]
  queryParams?: { type?: string; name: string; value: string }[]
}

export interface Rule {
  name?: string
  matches?: Match[]
  filters?: { type: string; [more: string]: unknown }[]
  backendRefs?: Ref[]
  timeouts?: { request?: string; backendRequest?: string }
  retry?: { attempts?: number; backoff?: string; codes?: number[] }
}

export interface RouteSpec {
  parentRefs?: Ref[]
  hostnames?: string[]
  rules?: Rule[]
}

/** `GET /orders/*`, `x-lane = gray` */
export function matchText(match: Match): string {
  const { path, method, headers = [], queryParams = [] } = match
  const value = path?.value ?? '/'
  const shown =
    path?.type === 'Exact' ? `= ${value}` : path?.type === 'RegularExpression' ? `~ ${value}` : value
  const call =
    typeof method === 'object' ? [method.service, method.method ?? '*'].filter(Boolean).join('/') : undefined
  return [
    typeof method === 'string' ? method : undefined,
    call ?? (path || headers.length + queryParams.length === 0 ? shown : undefined),
    ...headers.map(
      header => `${header.name}${header.type === 'RegularExpression' ? ' ~ ' : ' = '}${header.value}`,
    ),
    ...queryParams.map(param => `?${param.name}=${param.value}`),
  ]
    .filter(Boolean)
    .join('  ')
}

/** Part of the requests, 0 to 1, that each back end gets. */
export function parts(refs: readonly Ref[]): number[] {
  const weights = refs.map(ref => ref.weight ?? 1)
  const sum = weights.reduce((total, weight) => total + weight, 0)
  return weights.map(weight => (sum > 0 ? weight / sum : 0))
}

export function refText(ref: Ref, namespace: string | undefined): string {
  const other = ref.namespace && ref.namespace !== namespace ? `${ref.namespace}/` : ''
  return `${other}${ref.name}${ref.port ? `:${ref.port}` : ''}`
}

export function specOf(document: Document): RouteSpec {
  return (document.spec ?? {}) as RouteSpec
}
