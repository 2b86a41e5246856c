// What a proxy is meant to have, as requests go through it: listener → route table → virtual host → cluster → endpoints.
// Read from the resources' JSON, which is Envoy's own (proto3 JSON, names in snake_case or camelCase).

import type { Any, TypeView, XdsResource } from '../../api/types'

export interface Resources {
  listeners: XdsResource[]
  routes: XdsResource[]
  clusters: XdsResource[]
  endpoints: XdsResource[]
  others: { type: string; resource: XdsResource }[]
}

export function sortOut(types: readonly TypeView[]): Resources {
  const out: Resources = { listeners: [], routes: [], clusters: [], endpoints: [], others: [] }
  for (const { type, resources } of types) {
    if (type.endsWith('.Listener')) out.listeners = resources
    else if (type.endsWith('.RouteConfiguration')) out.routes = resources
    else if (type.endsWith('.Cluster')) out.clusters = resources
    else if (type.endsWith('.ClusterLoadAssignment')) out.endpoints = resources
    else out.others.push(...resources.map(resource => ({ type: type.split('.').at(-1) ?? type, resource })))
  }
  return out
}

/** Either spelling of a field. */
function field(value: Any, name: string): Any {
  const camel = name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())
  return value?.[name] ?? value?.[camel]
}

/** All values of a field with this name, however deep. */
function find(value: Any, name: string, found: Any[] = []): Any[] {
  if (Array.isArray(value)) for (const each of value) find(each, name, found)
  else if (value && typeof value === 'object') {
    const own = field(value, name)
    if (own !== undefined) found.push(own)
    for (const each of Object.values(value)) find(each, name, found)
  }
  return found
}

export function routeNames(listener: XdsResource): string[] {
  const names = find(listener.resource, 'route_config_name').filter(
    (name): name is string => typeof name === 'string',
  )
  return [...new Set(names)]
}

/** Clusters that whole connections go to. */
export function clusterNames(value: Any): string[] {
  const single = find(value, 'cluster').filter((name): name is string => typeof name === 'string')
  const weighted = find(value, 'weighted_clusters').flatMap(each =>
    (field(each, 'clusters') ?? []).map((c: Any) => c.name),
  )
  return [...new Set([...single, ...weighted])].filter(Boolean)
}

export interface RouteLine {
  name: string
  match: string
  /** Cluster and part of the requests. */
  to: [string, number][]
  what: string
}

export interface HostLine {
  name: string
  domains: string[]
  routes: RouteLine[]
}

export function hosts(table: XdsResource): HostLine[] {
  return (field(table.resource, 'virtual_hosts') ?? []).map((host: Any) => ({
    name: host.name,
    domains: host.domains ?? [],
    routes: (host.routes ?? []).map((route: Any) => ({
      name: route.name ?? '',
      match: match(route.match ?? {}),
      to: to(route.route),
      what: what(route),
    })),
  }))
}

function match(of: Any): string {
  const path =
    of.path ??
    (field(of, 'path_separated_prefix') ? `${field(of, 'path_separated_prefix')}/…` : undefined) ??
    (of.prefix ? `${of.prefix}…` : undefined) ??
    (field(of, 'safe_regex') ? `~ ${field(of, 'safe_regex').regex}` : '*')
  const headers = (of.headers ?? []).map((header: Any) => {
    const value = field(header, 'string_match')
    return `${header.name}=${value?.exact ?? value?.prefix ?? field(value, 'safe_regex')?.regex ?? '…'}`
  })
  return [path, ...headers].join('  ')
}

function to(route: Any): [string, number][] {
  if (!route) return []
  if (typeof route.cluster === 'string') return [[route.cluster, 1]]
  const clusters: Any[] = field(field(route, 'weighted_clusters'), 'clusters') ?? []
  const weight = (each: Any) => Number(each.weight?.value ?? each.weight ?? 0)
  const sum = clusters.reduce((total, each) => total + weight(each), 0)
  return clusters.map(each => [each.name, sum > 0 ? weight(each) / sum : 0])
}

function what(route: Any): string {
  if (route.redirect) return 'redirect'
  const direct = field(route, 'direct_response')
  return direct ? String(direct.status ?? '') : ''
}

export interface EndpointLine {
  address: string
  health: string
  weight: number
  zone: string
}

export function endpointsOf(assignment: XdsResource | undefined): EndpointLine[] {
  return (assignment?.resource?.endpoints ?? []).flatMap((locality: Any) =>
    (field(locality, 'lb_endpoints') ?? []).map((each: Any) => {
      const socket = field(each.endpoint?.address, 'socket_address') ?? {}
      return {
        address: `${socket.address ?? '?'}:${field(socket, 'port_value') ?? ''}`,
        health: String(field(each, 'health_status') ?? 'HEALTHY').toLowerCase(),
        weight: Number(
          field(each, 'load_balancing_weight')?.value ?? field(each, 'load_balancing_weight') ?? 1,
        ),
        zone: locality.locality?.zone ?? '',
      }
    }),
  )
}

/** `HTTP 10080`, `10.0.0.1:443` */
export function addressOf(listener: XdsResource): string {
  const socket = field(listener.resource?.address, 'socket_address') ?? {}
  return `${socket.address ?? ''}:${field(socket, 'port_value') ?? ''}`
}
