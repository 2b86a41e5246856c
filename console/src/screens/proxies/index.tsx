import { useList } from '../../api/hooks'
import type { Proxy, ProxyType } from '../../api/types'
import { useTexts } from '../../i18n'
import { useFormat } from '../../i18n/format'
import { A } from '../../ui/A'
import { Age } from '../../ui/Age'
import { Page } from '../../ui/basics'
import { type Column, ResourceTable } from '../../ui/ResourceTable'
import { StateOf, Status, ToneIcon, toneOf } from '../../ui/Status'
import { T } from './texts'

export default function Proxies() {
  const t = useTexts(T)
  const format = useFormat()
  const all = useList<Proxy>('/proxies', { limit: 1000 })
  const several = new Set((all.data?.items ?? []).map(proxy => proxy.replica)).size > 1
  const most = usual((all.data?.items ?? []).map(proxy => proxy.envoy))
  const columns: Column<Proxy>[] = [
    {
      id: 'id',
      title: t.id,
      sort: 'id',
      cell: proxy => <A to={`/proxies/${encodeURIComponent(proxy.id)}`}>{proxy.id}</A>,
    },
    { id: 'role', title: t.role, sort: 'role', tight: true, cell: proxy => proxy.role },
    { id: 'scope', title: t.scope, sort: 'scope', cell: proxy => <Scope proxy={proxy} /> },
    {
      id: 'state',
      title: t.state,
      sort: 'state',
      tight: true,
      cell: proxy => <StateOf state={stateOf(proxy)} />,
    },
    { id: 'revision', title: t.revision, tight: true, cell: proxy => <Step proxy={proxy} /> },
    {
      id: 'lag',
      title: t.lag,
      sort: 'lagMs',
      align: 'right',
      tight: true,
      cell: proxy =>
        proxy.lagMs > 0 ? <span className="tone-warn">{format.duration(proxy.lagMs)}</span> : '–',
    },
    { id: 'types', title: t.types_, tight: true, cell: proxy => <Types of={proxy.types} /> },
    {
      id: 'envoy',
      title: t.envoy,
      sort: 'envoy',
      tight: true,
      cell: proxy =>
        proxy.envoy && most && proxy.envoy !== most ? (
          <Status tone="note" title={t.skew}>
            {proxy.envoy}
          </Status>
        ) : (
          proxy.envoy || '–'
        ),
    },
    { id: 'zone', title: t.zone, sort: 'zone', tight: true, cell: proxy => proxy.zone || '–' },
    ...(several
      ? [
          {
            id: 'replica',
            title: t.replica,
            sort: 'replica',
            tight: true,
            cell: (proxy: Proxy) => <Replica proxy={proxy} />,
          },
        ]
      : []),
    {
      id: 'address',
      title: t.address,
      tight: true,
      optional: true,
      cell: proxy => <span className="mono">{proxy.address}</span>,
    },
    { id: 'protocol', title: t.protocol, sort: 'protocol', optional: true, cell: proxy => proxy.protocol },
    {
      id: 'since',
      title: t.since,
      sort: 'connectedAt',
      align: 'right',
      tight: true,
      cell: proxy => <Age at={proxy.connectedAt} />,
    },
  ]
  return (
    <Page title={t.title}>
      <ResourceTable
        label={t.title}
        path="/proxies"
        columns={columns}
        rowKey={proxy => `${proxy.id} ${proxy.address}`}
        searchLabel={t.search}
        filters={[
          {
            param: 'state',
            label: t.state,
            options: (['ok', 'pending', 'nack'] as const).map(value => ({ value, label: t[value] })),
          },
          {
            param: 'role',
            label: t.role,
            options: ['gateway', 'sidecar', 'grpc'].map(value => ({ value, label: value })),
          },
        ]}
        cli="isthmus proxy status"
        empty={{ text: t.emptyText }}
      />
    </Page>
  )
}

export function stateOf(proxy: Proxy): 'inStep' | 'behind' | 'refused' {
  if (proxy.types.some(type => type.state === 'nack')) return 'refused'
  return proxy.inStep ? 'inStep' : 'behind'
}

/** What it is configured for: a Gateway, or a workload. */
export function Scope({ proxy }: { proxy: Proxy }) {
  if (proxy.role === 'gateway' && proxy.scope.includes('/'))
    return <A to={`/gateways/${proxy.scope}`}>{proxy.scope}</A>
  return proxy.scope
}

/** The replica that its stream is on, and when that was heard last where it does not answer. */
export function Replica({ proxy }: { proxy: Proxy }) {
  const t = useTexts(T)
  if (!proxy.heardAt) return proxy.replica || '–'
  return (
    <Status tone="warn" title={t.silent}>
      {proxy.replica} (<Age at={proxy.heardAt} ago />)
    </Status>
  )
}

/** `r42`, or `r41 → r42` where it is not there yet. */
export function Step({ proxy }: { proxy: Proxy }) {
  const { revision, heldRevision, wanted, held } = proxy
  const to = revision ?? wanted
  const from = heldRevision ?? held
  const name = (of: string) =>
    revision ? <A to={`/revisions/${of}`}>{of}</A> : <span className="mono">{of || '–'}</span>
  if (from === to) return name(to)
  return (
    <span className="nowrap">
      {name(from)} <span className="dim">→</span> {name(to)}
    </span>
  )
}

export function Types({ of }: { of: readonly ProxyType[] }) {
  return (
    <span className="row" style={{ gap: 8 }}>
      {of.map(type => (
        <span
          key={type.type}
          className="row"
          style={{ gap: 2 }}
          title={`${type.type}: ${type.state}, ${type.resources}${type.nack ? `\n${type.nack.text}` : ''}`}
        >
          <ToneIcon tone={toneOf(type.state)} size={13} />
          <span
            className={type.state === 'ok' ? 'dim' : `tone-${toneOf(type.state)}`}
            style={{ fontSize: 12 }}
          >
            {type.type}
          </span>
        </span>
      ))}
    </span>
  )
}

function usual(values: string[]): string | undefined {
  const counts = new Map<string, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0]
}
