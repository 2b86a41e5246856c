import './topology.css'
import { useApi } from '../../api/hooks'
import type { Topology, TopologyEdge, TopologyNode } from '../../api/types'
import { useAddress, useGo, useScope } from '../../app/location'
import { useTexts } from '../../i18n'
import { useCommon } from '../../i18n/common'
import { useFormat } from '../../i18n/format'
import { A } from '../../ui/A'
import { Act, Chips, CliButton, Notice, Page, Panel } from '../../ui/basics'
import { SelectField, TextField } from '../../ui/form'
import { SearchField } from '../../ui/ResourceTable'
import { Status } from '../../ui/Status'
import { Empty, Loaded } from '../../ui/states'
import { Table } from '../../ui/Table'
import { Canvas, NodeFacts } from './Canvas'
import { edgeClass } from './geometry'
import { T } from './texts'

const WINDOWS = [1, 5, 15, 60]
/** Rows of the table; the picture has all. */
const ROWS = 500

/** Where a node has a page. */
function pageOf(node: { kind: string; namespace: string; name: string }): string | undefined {
  if (node.kind === 'service') return `/services/${node.namespace}/${node.name}`
  if (node.kind === 'gateway') return `/gateways/${node.namespace}/${node.name}`
  return undefined
}

export default function TopologyScreen() {
  const t = useTexts(T)
  const common = useCommon()
  const format = useFormat()
  const go = useGo()
  const [search, setSearch] = useAddress()
  const ns = useScope()
  const minutes = WINDOWS.includes(Number(search.window)) ? Number(search.window) : 5
  const at = search.at ? new Date(search.at) : undefined
  const earlier = at && !Number.isNaN(at.getTime()) ? at.toISOString() : undefined
  const topology = useApi<Topology>(
    '/topology',
    {
      namespace: ns || undefined,
      focus: search.focus || undefined,
      depth: search.focus ? 2 : undefined,
      group: search.group || undefined,
      window: minutes * 60,
      at: earlier,
    },
    { every: earlier ? undefined : 10_000 },
  )
  const open = (node: TopologyNode) => {
    if (node.kind === 'namespace') setSearch({ ns: node.name, group: undefined, node: undefined }, true)
    else {
      const page = pageOf(node)
      if (page) go(page)
    }
  }
  return (
    <Page title={t.title} actions={<CliButton command={`isthmus topology${ns ? ` -n ${ns}` : ''}`} />}>
      <Loaded query={topology} rows={12}>
        {data => (
          <>
            {data.grouped && <Notice tone="note">{t.grouped}</Notice>}
            {data.nodes.length > 0 && !data.edges.some(edge => edge.kind === 'observed') && (
              <Notice tone="note">{t.noTraffic}</Notice>
            )}
            <div className="panel">
              <div className="toolbar">
                <SearchField
                  label={t.find}
                  value={search.find ?? ''}
                  onChange={find => setSearch({ find })}
                />
                <SelectField
                  aria-label={t.window}
                  w={150}
                  value={String(minutes)}
                  data={WINDOWS.map(n => ({ value: String(n), label: t.minutes(n) }))}
                  onChange={window => setSearch({ window })}
                />
                <SelectField
                  aria-label={t.group}
                  w={150}
                  value={search.group ?? ''}
                  data={[
                    { value: '', label: t.groupNone },
                    { value: 'namespace', label: t.groupNamespace },
                  ]}
                  onChange={group => setSearch({ group })}
                />
                <TextField
                  aria-label={t.playback}
                  title={t.playback}
                  type="datetime-local"
                  value={search.at ?? ''}
                  onChange={value => setSearch({ at: value })}
                />
                {earlier && (
                  <>
                    <Act onClick={() => setSearch({ at: undefined })}>{t.now}</Act>
                    <span className="dim">{t.at(format.dateTime(earlier))}</span>
                  </>
                )}
                {search.focus && (
                  <>
                    <strong>{t.around(search.focus)}</strong>
                    <Act onClick={() => setSearch({ focus: undefined }, true)}>{t.whole}</Act>
                  </>
                )}
              </div>
              {data.nodes.length === 0 ? (
                <Empty why="nothing" text={t.empty} />
              ) : (
                <Canvas
                  topology={data}
                  find={search.find ?? ''}
                  focused={search.node}
                  onFocus={node => setSearch({ node })}
                  onOpen={open}
                  card={node => (
                    <div className="stack tight">
                      <strong className="mono">
                        {node.kind === 'outside'
                          ? t.outside
                          : [node.namespace, node.name].filter(Boolean).join('/')}
                      </strong>
                      <NodeFacts node={node} />
                      <span className="row wrap">
                        {node.kind === 'namespace' && <Act onClick={() => open(node)}>{common.open}</Act>}
                        {pageOf(node) && <A to={pageOf(node) ?? ''}>{t.open}</A>}
                        {pageOf(node) && (
                          <Act
                            onClick={() =>
                              setSearch({ focus: `${node.namespace}/${node.name}`, node: undefined }, true)
                            }
                          >
                            {t.focus}
                          </Act>
                        )}
                      </span>
                    </div>
                  )}
                />
              )}
            </div>
            {data.edges.length > 0 && <Connections topology={data} />}
          </>
        )}
      </Loaded>
    </Page>
  )
}

function Connections({ topology }: { topology: Topology }) {
  const t = useTexts(T)
  const format = useFormat()
  const at = new Map(topology.nodes.map(node => [node.id, node]))
  const name = (id: string) => {
    const node = at.get(id)
    if (!node) return id
    const text = node.kind === 'outside' ? t.outside : [node.namespace, node.name].filter(Boolean).join('/')
    const page = pageOf(node)
    return page ? <A to={page}>{text}</A> : <span className="mono">{text}</span>
  }
  const kinds: Record<TopologyEdge['kind'], string> = {
    observed: t.observed,
    declared: t.declared,
    configured: t.configured,
  }
  const tones = { good: 'good', warn: 'warn', bad: 'bad', idle: 'idle' } as const
  const rows = [...topology.edges].sort((a, b) => b.rate - a.rate || b.errors - a.errors).slice(0, ROWS)
  return (
    <Panel title={t.table} flush>
      <Table
        label={t.table}
        rows={rows}
        rowKey={(edge, index) => `${index} ${edge.source} ${edge.target}`}
        columns={[
          { id: 'source', title: t.source, cell: edge => name(edge.source) },
          { id: 'target', title: t.target, cell: edge => name(edge.target) },
          {
            id: 'kind',
            title: t.kind,
            cell: edge => (
              <Status tone={tones[edgeClass(edge)]}>{isCounted(edge) ? t.counted : kinds[edge.kind]}</Status>
            ),
          },
          { id: 'rate', title: t.rate, align: 'right', cell: edge => seen(edge) && format.rate(edge.rate) },
          {
            id: 'errors',
            title: t.errors,
            align: 'right',
            cell: edge => seen(edge) && format.percent(edge.errors),
          },
          { id: 'p99', title: t.p99, align: 'right', cell: edge => format.ms(edge.p99) },
          { id: 'mtls', title: t.mtls, cell: edge => (edge.mtls ? <Status tone="good">mTLS</Status> : '–') },
          { id: 'routes', title: t.routes, cell: edge => <Chips of={edge.routes} /> },
        ]}
      />
    </Panel>
  )
}

/** A gRPC program says how many calls it made, and nothing of each. */
function isCounted(edge: TopologyEdge): boolean {
  return seen(edge) && edge.reportedBy.join() === 'loadReport'
}

function seen(edge: TopologyEdge): boolean {
  return edge.kind === 'observed'
}
