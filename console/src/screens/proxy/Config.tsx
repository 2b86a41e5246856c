import { useDeferredValue } from 'react'
import { useApi } from '../../api/hooks'
import type { ConfigView, XdsResource } from '../../api/types'
import { useAddress } from '../../app/location'
import { useTexts } from '../../i18n'
import { useFormat } from '../../i18n/format'
import { Code, CopyButton, Panel } from '../../ui/basics'
import { Origin } from '../../ui/findings'
import { Choice } from '../../ui/form'
import { SearchField } from '../../ui/ResourceTable'
import { StateOf } from '../../ui/Status'
import { Empty, Loaded } from '../../ui/states'
import { T } from '../proxies/texts'
import { addressOf, clusterNames, endpointsOf, hosts, type Resources, routeNames, sortOut } from './tree'

export function Config({ id }: { id: string }) {
  const t = useTexts(T)
  const [search, setSearch] = useAddress()
  const config = useApi<ConfigView>(`/proxies/${encodeURIComponent(id)}/config`)
  const q = useDeferredValue((search.q ?? '').toLowerCase())
  const raw = search.view === 'raw'
  return (
    <div className="stack">
      <div className="row wrap">
        <SearchField label={t.search2} value={search.q ?? ''} onChange={value => setSearch({ q: value })} />
        <Choice
          label={t.config}
          value={raw ? 'raw' : 'tree'}
          options={[
            { value: 'tree', label: t.tree },
            { value: 'raw', label: t.raw },
          ]}
          onChange={view => setSearch({ view: view === 'raw' ? view : undefined })}
        />
        <span className="dim">{t.desired}</span>
      </div>
      <Loaded query={config}>
        {({ types }) => (raw ? <Raw config={types} q={q} /> : <Tree of={sortOut(types)} q={q} />)}
      </Loaded>
    </div>
  )
}

function Tree({ of, q }: { of: Resources; q: string }) {
  const t = useTexts(T)
  const fits = (...texts: string[]) => !q || texts.some(text => text.toLowerCase().includes(q))
  if (of.listeners.length + of.clusters.length === 0) return <Empty why="nothing" text={t.noResources} />
  const cluster = (name: string) => <Cluster key={name} name={name} of={of} />
  const tables = of.listeners.map(listener => {
    const names = routeNames(listener)
    const found = of.routes.filter(table => names.includes(table.name))
    return { listener, found, direct: found.length === 0 ? clusterNames(listener.resource) : [] }
  })
  return (
    <div className="stack">
      {tables.map(({ listener, found, direct }) => (
        <Panel
          key={listener.name}
          title={
            <>
              {listener.name} <span className="dim mono">{addressOf(listener)}</span>
            </>
          }
          actions={<Detail resource={listener} />}
        >
          <div className="stack" style={{ gap: 6 }}>
            {direct.map(cluster)}
            {found.map(table => (
              <div key={table.name}>
                <div className="row">
                  <span className="dim">RDS</span> <strong className="mono">{table.name}</strong>
                  <Detail resource={table} />
                </div>
                {hosts(table)
                  .filter(host =>
                    fits(
                      host.name,
                      ...host.domains,
                      ...host.routes.flatMap(r => [r.match, r.name, ...r.to.map(([c]) => c)]),
                    ),
                  )
                  .map(host => (
                    <details className="fold" key={host.name} open={Boolean(q) || found.length === 1}>
                      <summary>
                        <span className="dim">{t.virtualHost}</span>
                        <strong className="cut grow">{host.domains.join(', ') || host.name}</strong>
                        <span className="dim num">{host.routes.length}</span>
                      </summary>
                      <div className="body stack" style={{ gap: 4 }}>
                        {host.routes
                          .filter(r =>
                            fits(host.name, ...host.domains, r.match, r.name, ...r.to.map(([c]) => c)),
                          )
                          .map((route, index) => (
                            <Route key={`${route.name} ${index}`} {...route} cluster={cluster} />
                          ))}
                      </div>
                    </details>
                  ))}
              </div>
            ))}
          </div>
        </Panel>
      ))}
      <Rest of={of} fits={fits} />
    </div>
  )
}

function Route(props: {
  name: string
  match: string
  to: [string, number][]
  what: string
  cluster: (name: string) => React.ReactNode
}) {
  const { match, to, what, cluster } = props
  const format = useFormat()
  return (
    <details className="fold">
      <summary>
        <span className="mono grow" style={{ overflowWrap: 'anywhere' }}>
          {match}
        </span>
        <span className="dim">
          {to.map(([name, part]) => (to.length > 1 ? `${name} ${format.percent(part)}` : name)).join(', ') ||
            what}
        </span>
      </summary>
      <div className="body">{to.map(([name]) => cluster(name))}</div>
    </details>
  )
}

function Cluster({ name, of }: { name: string; of: Resources }) {
  const t = useTexts(T)
  const format = useFormat()
  const resource = of.clusters.find(each => each.name === name)
  const assignment = of.endpoints.find(each => each.name === name || each.name === serviceName(resource))
  const endpoints = endpointsOf(assignment)
  return (
    <div style={{ padding: '4px 0' }}>
      <div className="row wrap">
        <span className="dim">CDS</span>
        <strong className="mono">{name}</strong>
        {resource ? <Detail resource={resource} /> : <StateOf state="error" title={t.missing} />}
        {(resource?.origins ?? []).slice(0, 2).map(origin => (
          <Origin key={origin} text={origin} />
        ))}
      </div>
      <div style={{ paddingLeft: 20 }}>
        {endpoints.length === 0 && <span className="dim">EDS: 0</span>}
        {endpoints.slice(0, 50).map(endpoint => (
          <div key={endpoint.address} className="row">
            <span className="mono">{endpoint.address}</span>
            <StateOf state={endpoint.health} />
            {endpoint.weight !== 1 && <span className="dim num">×{format.number(endpoint.weight)}</span>}
            {endpoint.zone && <span className="dim">{endpoint.zone}</span>}
          </div>
        ))}
        {endpoints.length > 50 && <span className="dim">+ {endpoints.length - 50}</span>}
      </div>
    </div>
  )
}

function serviceName(cluster: XdsResource | undefined): string | undefined {
  const eds = cluster?.resource?.eds_cluster_config ?? cluster?.resource?.edsClusterConfig
  return eds?.service_name ?? eds?.serviceName
}

/** What no listener leads to: clusters of other use, secrets, extensions. */
function Rest(props: { of: Resources; fits: (...texts: string[]) => boolean }) {
  const { of, fits } = props
  const t = useTexts(T)
  const used = new Set(
    of.routes
      .flatMap(table => clusterNames(table.resource))
      .concat(of.listeners.flatMap(l => clusterNames(l.resource))),
  )
  const clusters = of.clusters.filter(cluster => !used.has(cluster.name) && fits(cluster.name))
  const others = of.others.filter(({ resource }) => fits(resource.name))
  if (clusters.length + others.length === 0) return null
  return (
    <Panel title={t.otherwise}>
      {clusters.map(cluster => (
        <Cluster key={cluster.name} name={cluster.name} of={of} />
      ))}
      {others.map(({ type, resource }) => (
        <div key={`${type} ${resource.name}`} className="row">
          <span className="dim">{type}</span>
          <span className="mono">{resource.name}</span>
          <Detail resource={resource} />
        </div>
      ))}
    </Panel>
  )
}

function Raw({ config, q }: { config: ConfigView['types']; q: string }) {
  return (
    <div className="stack">
      {config.map(({ type, version, resources }) => (
        <Panel
          key={type}
          title={type.split('.').at(-1)}
          actions={
            <span className="dim mono">
              {resources.length} · {version.slice(0, 12)}
            </span>
          }
        >
          {resources
            .filter(resource => !q || `${resource.name} ${resource.origins.join()}`.toLowerCase().includes(q))
            .map(resource => (
              <details className="fold" key={resource.name}>
                <summary>
                  <span className="mono grow cut">{resource.name}</span>
                  <span className="dim mono">{resource.version.slice(0, 10)}</span>
                </summary>
                <div className="body stack">
                  <Origins of={resource.origins} />
                  <Code text={JSON.stringify(resource.resource, null, 2)} style={{ maxHeight: 480 }} />
                </div>
              </details>
            ))}
        </Panel>
      ))}
    </div>
  )
}

function Origins({ of }: { of: readonly string[] }) {
  const t = useTexts(T)
  if (of.length === 0) return null
  return (
    <span className="row wrap">
      <span className="dim">{t.madeFrom}</span>
      {of.map(origin => (
        <Origin key={origin} text={origin} />
      ))}
    </span>
  )
}

function Detail({ resource }: { resource: XdsResource }) {
  return (
    <span className="row" style={{ gap: 4 }}>
      <span className="dim mono" title="version">
        {resource.version.slice(0, 8)}
      </span>
      <CopyButton text={JSON.stringify(resource.resource, null, 2)} />
    </span>
  )
}
