// The shapes of the API's answers, as the control plane's `src/api/*.rs` say them. Times are RFC 3339 text.

export type Time = string

export type Role = 'viewer' | 'editor' | 'operator' | 'admin'
export type WriteMode = 'direct' | 'propose' | 'off'

export interface Grant {
  role: Role
  /** `*` at the end stands for any rest; `*` alone also for what has no namespace. */
  namespaces: string[]
}

export interface Me {
  subject: string
  via?: 'session' | 'token' | 'kubernetes' | 'nobody'
  roles: Grant[]
  writeMode: WriteMode
  /** Namespaces whose mode is another one; the first that fits counts. */
  writeModes?: { namespaces: string; mode: WriteMode }[]
  /** Who owns what cannot be written here, where the server says so. */
  owner?: string
  requireReason?: boolean
  version: string
  replica: string
  oidc: boolean
  loginNeeded: boolean
}

export interface List<T> {
  items: T[]
  next: string | null
  total: number
  asOf: Time
  freshness?: Freshness[]
}

export interface Freshness {
  source: string
  state?: string
  freshAt?: Time
  ageMs?: number
}

export interface ObjectName {
  kind: string
  namespace: string
  name: string
}

export interface FindingView {
  code: string
  severity: 'info' | 'warning' | 'error'
  source: string
  file?: string
  line?: number
  column?: number
  object?: ObjectName
  pointer: string
  text: string
  hint: string
  /** The same for as long as it lasts; of `/problems`, as what follows. */
  id?: string
  firstSeen?: Time
  proxies?: string[]
}

/** RFC 9457, with members of ours. */
export interface ProblemJson {
  type: string
  title: string
  status: number
  detail: string
  instance: string
  code: string
  hint: string
  retryable: boolean
  errors?: FindingView[]
  /** Of ISM9015. */
  current?: Document
  currentEtag?: string
}

export interface Condition {
  type: string
  status: 'True' | 'False' | 'Unknown'
  reason: string
  message: string
  observedGeneration?: number
  lastTransitionTime?: Time
}

export interface Metadata {
  name: string
  namespace?: string
  labels?: Record<string, string>
  annotations?: Record<string, string>
  generation?: number
  creationTimestamp?: Time
}

export type Any = any

export interface Document<Spec = Any, Status = Any> {
  apiVersion: string
  kind: string
  metadata: Metadata
  spec?: Spec
  status?: Status
  [more: string]: Any
}

export type Action = 'added' | 'changed' | 'removed' | 'unchanged'

export interface ChangeReport {
  dryRun: boolean
  revision?: string
  objects: ObjectChange[]
  proxies: ProxyImpact
  findings: FindingView[]
  resolved: FindingView[]
  gates: Gate[]
  /** Of a dry run of what somebody else writes. */
  proposal?: Proposal
  live?: Live
}

export interface ObjectChange extends ObjectName {
  action: Action
  fields: FieldChange[]
  before: string
  after: string
  etag?: string
}

export interface FieldChange {
  pointer: string
  before?: unknown
  after?: unknown
}

export interface ProxyImpact {
  affected: number
  total: number
  drains: boolean
  groups: GroupImpact[]
  samples: ResourceDiff[]
}

export interface GroupImpact {
  group: string
  proxies: string[]
  count: number
  types: TypeChange[]
}

export interface TypeChange {
  type: string
  added: number
  changed: number
  removed: number
}

export interface ResourceDiff {
  group: string
  type: string
  name: string
  action: Action
  diff: string
}

export interface Gate {
  name: string
  state: 'passed' | 'failed' | 'skipped'
  text: string
}

/** What somebody else has to change, where it is not written here. */
export interface Proposal {
  /** Of the folder's files; may be empty. */
  patch: string
  leftOut: (ObjectName & { because: 'secret' | 'cluster' | 'file' | 'hidden'; text: string })[]
}

export interface Live {
  live: number
  total: number
  refused: number
}

export interface Ownership {
  mode: WriteMode
  place: string
  reason: string
}

export interface Revision {
  id: string
  hash: string
  parent?: string
  time: Time
  author: string
  via: string
  reason: string
  objects: { added: number; changed: number; removed: number }
  pinned: boolean
  current: boolean
  errors: number
  live?: Live
  refusals: Refusal[]
  rollbackOf?: string
}

export interface Refusal {
  at: Time
  until?: Time
  type: string
  text: string
  origins: string[]
  proxies: string[]
  revision: string
  serving: string
}

export interface RevisionDiff {
  base: string
  revision: string
  objects: ObjectChange[]
  types: TypeChange[]
  resources: ResourceDiff[]
}

export type TypeState = 'ok' | 'pending' | 'nack'

export interface Proxy {
  id: string
  /** The replica that its stream is on; when that was heard last, while it does not answer. */
  replica?: string
  heardAt?: Time
  role: string
  scope: string
  envoy: string
  protocol: string
  address: string
  region: string
  zone: string
  connectedAt: Time
  wanted: string
  held: string
  lagMs: number
  inStep: boolean
  types: ProxyType[]
  revision?: string
  heldRevision?: string
  edition?: string
}

export interface ProxyType {
  type: string
  state: TypeState
  resources: number
  nack?: { at: Time; text: string; origins: string[] }
}

export interface TypeView {
  type: string
  version: string
  resources: XdsResource[]
}

/** Of `/proxies/{id}/config`. */
export interface ConfigView {
  proxy: string
  asOf: Time
  types: TypeView[]
}

export interface XdsResource {
  name: string
  version: string
  origins: string[]
  resource: Any
}

export type SourceState = 'syncing' | 'live' | 'degraded' | 'stale' | 'lost'

export interface Source {
  name: string
  kind: string
  target: string
  state: SourceState
  reason: string
  objects: number
  freshAt?: Time
}

export interface ServiceRow {
  namespace: string
  name: string
  kind: string
  sources: string[]
  healthy: number
  endpoints: number
  held: number
  protocols: string[]
  ports: number[]
  hosts: string[]
  routes: number
  /** Who says so to a registry. */
  callers: number
  /** Who was seen calling it in the last hour. */
  observedCallers: number
  policies: number
  state: SourceState
  rate?: number
  errors?: number
  p99?: number
  changed?: Time
}

export interface ServicePage extends ServiceRow {
  instances: ServiceInstance[]
  /** Who, and who says so: `observed`, `declared`. */
  callerNames: [string, string][]
  routeNames: string[]
  policyNames: string[]
}

export interface RegistryInstance {
  host: string
  port: number
  weight: number
  health: 'healthy' | 'draining' | 'unhealthy'
  reason: string
  region: string
  zone: string
  secure: boolean
  labels: Record<string, string>
  held: boolean
  firstSeen: Time
  lastSeen: Time
  changed: Time
}

export interface ServiceInstance extends RegistryInstance {
  source: string
}

export interface RegistryService {
  group: string
  name: string
  state: SourceState
  reason: string
  since: Time
  seenAt: Time
  instances: number
  healthy: number
  held: number
  heldSince?: Time
  frozen: boolean
  consumers: string[]
  importedAs?: string
}

export interface RegistryEvent {
  at: Time
  service: string
  what: string
  why: string
  before: number
  after: number
  held: number
}

/** Something that happened. */
export interface EventView {
  at: Time
  /** `proxy`, `registry`, `revision` */
  kind: string
  what: string
  namespace: string
  name: string
  text: string
}

export interface RegistryProbe {
  address: string
  latencyMs?: number
  version?: string
  authenticated?: boolean
  services?: number
  error?: string
}

export interface Rollout {
  namespace: string
  name: string
  /** Whose proxies these are: `NAMESPACE/NAME`. */
  gateway: string
  state: 'waiting' | 'progressing' | 'paused' | 'returned' | 'aborted' | 'done'
  reason: string
  from: string
  to: string
  started?: Time
  step: number
  steps: number
  proxies: string[]
  total: number
  gates: GateState[]
}

export interface GateState {
  name: string
  state: 'passing' | 'failing' | 'unknown'
  text: string
  value?: number
  limit?: number
}

export interface Topology {
  nodes: TopologyNode[]
  edges: TopologyEdge[]
  asOf: Time
  window: number
  grouped: boolean
  width: number
  height: number
}

export interface TopologyNode {
  id: string
  kind: string
  namespace: string
  name: string
  sources: string[]
  healthy: number
  endpoints: number
  members: number
  problems: number
  x: number
  y: number
}

export interface TopologyEdge {
  source: string
  target: string
  kind: 'observed' | 'declared' | 'configured'
  protocol: string
  mtls: boolean
  rate: number
  errors: number
  /** Calls under way on average, as far as load reports say. */
  inProgress: number
  /** `accessLog`, `loadReport` */
  reportedBy: string[]
  p50?: number
  p99?: number
  routes: string[]
  lanes: string[]
}

export interface Series {
  step: number
  times: number[]
  rate: (number | null)[]
  status4xx: (number | null)[]
  status5xx: (number | null)[]
  p50: (number | null)[]
  p90: (number | null)[]
  p99: (number | null)[]
}

export interface Observation {
  on: boolean
  proxies: number
  requests: number
  dropped: number
  edges: number
  sampling: number
}

export interface RequestRow {
  at: Time
  proxy: string
  role: string
  source: string
  target: string
  route: string
  rule?: number
  lane: string
  protocol: string
  method: string
  host: string
  path: string
  status: number
  grpcStatus: number | null
  duration: number
  upstreamDuration?: number
  bytesIn: number
  bytesOut: number
  remote: string
  upstream: string
  cluster: string
  attempts: number
  flags: string[]
  userAgent: string
  requestId: string
  forwardedFor: string
  details: string
  custom: Record<string, string>
}

export interface WhyQuestion {
  from?: string
  /** The way in: what the sidecar beside a workload does with what arrives. */
  to?: string
  gateway?: string
  method: string
  url: string
  headers: [string, string][]
  ip?: string
  identity?: string
}

export interface WhyAnswer {
  summary: string
  outcome: WhyOutcome
  steps: WhyStep[]
  revision: string
}

export interface WhyOutcome {
  kind: 'forwarded' | 'redirected' | 'answered' | 'refused' | 'noListener' | 'noRoute'
  status?: number
  location?: string
  clusters: { cluster: string; service: string; part: number; endpoints: number; healthy: number }[]
  upstream?: {
    method: string
    host: string
    path: string
    headersSet: [string, string][]
    headersRemoved: string[]
  }
  mirrors: string[]
}

export interface WhyStep {
  stage: string
  text: string
  object?: ObjectName
  pointer: string
  sure: boolean
  near: { text: string; object?: ObjectName; pointer: string }[]
}
