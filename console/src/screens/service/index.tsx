import { useApi } from '../../api/hooks'
import { kindInfo } from '../../api/kinds'
import type { ServiceInstance, ServicePage } from '../../api/types'
import { useAddress, useGo } from '../../app/location'
import { useParams } from '../../app/params'
import { useTexts } from '../../i18n'
import { useFormat } from '../../i18n/format'
import { Effective } from '../../objects/Effective'
import { Traffic } from '../../objects/Traffic'
import { A } from '../../ui/A'
import { Age } from '../../ui/Age'
import { Act, Chip, Chips, CliButton, Facts, Notice, Page, Panel, Stat } from '../../ui/basics'
import { Origin } from '../../ui/findings'
import { SearchField } from '../../ui/ResourceTable'
import { StateOf } from '../../ui/Status'
import { SourceName, SourceNames } from '../../ui/sources'
import { Empty, Loaded } from '../../ui/states'
import { Table } from '../../ui/Table'
import { Tabs } from '../../ui/Tabs'
import { T } from './texts'

export default function Service() {
  const { namespace = '', name = '' } = useParams()
  const t = useTexts(T)
  const go = useGo()
  const path = `/services/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`
  const service = useApi<ServicePage>(path, {}, { every: 15_000 })
  const full = `${namespace}/${name}`
  const kind = service.data?.kind ?? 'MeshService'
  const info = kindInfo(kind)
  return (
    <Page
      title={
        <span className="row wrap">
          {full}
          {service.data && (
            <span style={{ fontSize: 13 }}>
              <StateOf state={service.data.state} />
            </span>
          )}
        </span>
      }
      name={full}
      crumbs={
        <>
          <A to="/services">{t.services}</A> / {kind}
        </>
      }
      actions={
        <>
          <CliButton command={`isthmus get service ${name} -n ${namespace}`} />
          <Act onClick={() => go(`/topology?focus=${encodeURIComponent(full)}`)}>{t.topology}</Act>
          {info && (
            <Act
              onClick={() =>
                go(
                  `/documents/${info.plural}/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}?tab=yaml`,
                )
              }
            >
              {t.document}
            </Act>
          )}
          <Act onClick={() => go(`/wizards/shift?service=${encodeURIComponent(full)}`)}>{t.shift}</Act>
        </>
      }
    >
      <Loaded query={service}>
        {data => (
          <Tabs
            label={t.parts}
            tabs={[
              { id: 'summary', title: t.summary, show: () => <Summary service={data} /> },
              {
                id: 'instances',
                title: `${t.instances} · ${data.instances.length}`,
                show: () => <Instances service={data} />,
              },
              { id: 'callers', title: t.callers, show: () => <Callers service={data} /> },
              { id: 'traffic', title: t.traffic, show: () => <Traffic of={`service/${full}`} /> },
              {
                id: 'effective',
                title: t.effective,
                show: () => <Effective object={{ kind, namespace, name }} />,
              },
            ]}
          />
        )}
      </Loaded>
    </Page>
  )
}

function Summary({ service }: { service: ServicePage }) {
  const t = useTexts(T)
  const format = useFormat()
  return (
    <div className="stack">
      {service.held > 0 && <Notice tone="warn">{t.heldNotice(service.held)}</Notice>}
      <Panel>
        <div className="row wrap" style={{ gap: 40 }}>
          <Stat name={t.instances} value={`${service.healthy}/${service.endpoints}`} />
          <Stat name="RPS" value={format.rate(service.rate)} />
          <Stat name="5xx" value={format.percent(service.errors)} />
          <Stat name="p99" value={format.ms(service.p99)} />
        </div>
      </Panel>
      <Panel>
        <Facts
          of={[
            [t.kind, service.kind],
            [t.source, <SourceNames key="s" of={service.sources} />],
            [
              t.ports,
              service.ports
                .map((port, index) => `${port} ${service.protocols[index] ?? service.protocols[0] ?? ''}`)
                .join(', '),
            ],
            [t.hosts, <Chips key="h" of={service.hosts} />],
            [t.changed, service.changed ? <Age key="c" at={service.changed} ago /> : undefined],
          ]}
        />
      </Panel>
      <div className="grid">
        <Panel title={t.routes}>
          {service.routeNames.length === 0 ? (
            <span className="dim">{t.noRoutes}</span>
          ) : (
            service.routeNames.map(route => (
              <div key={route}>
                <Origin text={route} />
              </div>
            ))
          )}
        </Panel>
        {service.policyNames.length > 0 && (
          <Panel title={t.policies}>
            {service.policyNames.map(policy => (
              <div key={policy}>
                <Origin text={policy} />
              </div>
            ))}
          </Panel>
        )}
      </div>
    </div>
  )
}

function Instances({ service }: { service: ServicePage }) {
  const t = useTexts(T)
  const format = useFormat()
  const [search, setSearch] = useAddress()
  const q = (search.q ?? '').toLowerCase()
  const text = (instance: ServiceInstance) => JSON.stringify(instance).toLowerCase()
  const rows = service.instances.filter(instance => !q || text(instance).includes(q))
  return (
    <div className="panel">
      <div className="toolbar">
        <SearchField label={t.find} value={search.q ?? ''} onChange={value => setSearch({ q: value })} />
      </div>
      {rows.length === 0 ? (
        <Empty why={q ? 'filter' : 'nothing'} text={t.noInstances} />
      ) : (
        <Table
          label={t.instances}
          rows={rows}
          rowKey={row => `${row.source} ${row.host}:${row.port}`}
          columns={[
            {
              id: 'address',
              title: t.address,
              tight: true,
              cell: row => <span className="mono">{`${row.host}:${row.port}`}</span>,
            },
            { id: 'source', title: t.source, cell: row => <SourceName of={row.source} /> },
            {
              id: 'health',
              title: t.health,
              tight: true,
              cell: row => (
                <span className="row">
                  <StateOf state={row.health} />
                  {row.held && <StateOf state="held" title={t.held} />}
                </span>
              ),
            },
            {
              id: 'who',
              title: t.who,
              cell: row => <span lang="en">{row.reason || (row.held ? t.held : '–')}</span>,
            },
            { id: 'weight', title: t.weight, align: 'right', cell: row => format.number(row.weight, 2) },
            {
              id: 'zone',
              title: t.zone,
              tight: true,
              cell: row => [row.region, row.zone].filter(Boolean).join('/') || '–',
            },
            {
              id: 'labels',
              title: t.labels,
              cell: row => (
                <span className="row wrap" style={{ gap: 4 }}>
                  {Object.entries(row.labels)
                    .filter(([, value]) => value !== '')
                    .map(([key, value]) => (
                      <Chip key={key}>{`${key}=${value}`}</Chip>
                    ))}
                </span>
              ),
            },
            {
              id: 'seen',
              title: t.seen,
              align: 'right',
              tight: true,
              cell: row => <Age at={row.lastSeen} />,
            },
            {
              id: 'changed',
              title: t.changed,
              align: 'right',
              tight: true,
              cell: row => <Age at={row.changed} />,
            },
          ]}
        />
      )}
    </div>
  )
}

function Callers({ service }: { service: ServicePage }) {
  const t = useTexts(T)
  if (service.callerNames.length === 0) return <Empty why="nothing" text={t.noCallers} />
  return (
    <Panel flush>
      <Table
        label={t.callers}
        rows={service.callerNames}
        rowKey={([who, how]) => `${who} ${how}`}
        columns={[
          {
            id: 'who',
            title: t.callers,
            cell: ([who]) => (who.includes('/') ? <A to={`/services/${who}`}>{who}</A> : who),
          },
          {
            id: 'how',
            title: t.who,
            cell: ([, how]) => (
              <span title={how === 'observed' ? t.observedTip : t.declaredTip}>
                {how === 'observed' ? t.observed : t.declared}
              </span>
            ),
          },
        ]}
      />
    </Panel>
  )
}
