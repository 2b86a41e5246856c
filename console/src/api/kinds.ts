/** Kinds of documents: API path and group. The names themselves are never translated. */
export interface KindInfo {
  kind: string
  plural: string
  apiVersion: string
  namespaced: boolean
}

const GATEWAY = 'gateway.networking.k8s.io/v1'
const ISTHMUS = 'isthmus.dev/v1alpha1'

function kind(name: string, plural: string, apiVersion: string, namespaced = true): KindInfo {
  return { kind: name, plural, apiVersion, namespaced }
}

export const KINDS: readonly KindInfo[] = [
  kind('AccessPolicy', 'accesspolicies', ISTHMUS),
  kind('BackendTLSPolicy', 'backendtlspolicies', GATEWAY),
  kind('ConfigMap', 'configmaps', 'v1'),
  kind('ConfigRollout', 'configrollouts', ISTHMUS),
  kind('EndpointSlice', 'endpointslices', 'discovery.k8s.io/v1'),
  kind('Gateway', 'gateways', GATEWAY),
  kind('GatewayClass', 'gatewayclasses', GATEWAY, false),
  kind('GatewayConfig', 'gatewayconfigs', ISTHMUS),
  kind('GRPCRoute', 'grpcroutes', GATEWAY),
  kind('HTTPRoute', 'httproutes', GATEWAY),
  kind('Ingress', 'ingresses', 'networking.k8s.io/v1'),
  kind('IngressClass', 'ingressclasses', 'networking.k8s.io/v1', false),
  kind('LaneGroup', 'lanegroups', ISTHMUS),
  kind('ListenerSet', 'listenersets', GATEWAY),
  kind('MeshConfig', 'meshconfigs', ISTHMUS, false),
  kind('MeshService', 'meshservices', ISTHMUS),
  kind('Namespace', 'namespaces', 'v1', false),
  kind('PeerPolicy', 'peerpolicies', ISTHMUS),
  kind('ReferenceGrant', 'referencegrants', 'gateway.networking.k8s.io/v1beta1'),
  kind('Registry', 'registries', ISTHMUS),
  kind('Secret', 'secrets', 'v1'),
  kind('Service', 'services', 'v1'),
  kind('SidecarScope', 'sidecarscopes', ISTHMUS),
  kind('TCPRoute', 'tcproutes', 'gateway.networking.k8s.io/v1alpha2'),
  kind('TLSRoute', 'tlsroutes', 'gateway.networking.k8s.io/v1alpha2'),
  kind('UDPRoute', 'udproutes', 'gateway.networking.k8s.io/v1alpha2'),
]

export const ROUTE_KINDS = ['HTTPRoute', 'GRPCRoute', 'TLSRoute', 'TCPRoute', 'UDPRoute', 'Ingress']

export function kindInfo(name: string): KindInfo | undefined {
  return KINDS.find(k => k.kind === name)
}

export function byPlural(plural: string): KindInfo | undefined {
  return KINDS.find(k => k.plural === plural)
}

/** The API path of a document, or of a kind where there is no name. */
export function documentPath(info: KindInfo, namespace: string, name?: string): string {
  const scope = info.namespaced && namespace ? `/namespaces/${encodeURIComponent(namespace)}` : ''
  return `${scope}/${info.plural}${name ? `/${encodeURIComponent(name)}` : ''}`
}

/** Where the console shows an object. */
export function objectHref(object: { kind: string; namespace: string; name: string }): string | undefined {
  const { kind: name, namespace } = object
  const rest = `${encodeURIComponent(namespace)}/${encodeURIComponent(object.name)}`
  if (name === 'Gateway') return `/gateways/${rest}`
  if (name === 'Registry') return `/registries/${rest}`
  if (name === 'MeshService' || name === 'Service') return `/services/${rest}`
  const info = kindInfo(name)
  if (!info) return undefined
  if (ROUTE_KINDS.includes(name)) return `/routes/${info.plural}/${rest}`
  return `/documents/${info.plural}/${encodeURIComponent(namespace || '-')}/${encodeURIComponent(object.name)}`
}

/** `HTTPRoute demo/shop /spec/rules/0` or `HTTPRoute demo/shop rule 0`, as origins and routes of a service are written. */
export function parseOrigin(
  text: string,
): { kind: string; namespace: string; name: string; pointer: string } | undefined {
  const found = /^(\w+) (?:([^/\s]+)\/)?(\S+?)(?: (\/\S*)| rule (\d+))?$/.exec(text)
  if (!found) return undefined
  const pointer = found[4] ?? (found[5] ? `/spec/rules/${found[5]}` : '')
  return { kind: found[1] ?? '', namespace: found[2] ?? '', name: found[3] ?? '', pointer }
}
