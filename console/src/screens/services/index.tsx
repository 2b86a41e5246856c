import type { ServiceRow } from '../../api/types'
import { useGo } from '../../app/location'
import { useTexts } from '../../i18n'
import { useCommon } from '../../i18n/common'
import { useFormat } from '../../i18n/format'
import { A } from '../../ui/A'
import { Age } from '../../ui/Age'
import { Act, Page } from '../../ui/basics'
import { type Column, ResourceTable } from '../../ui/ResourceTable'
import { StateOf, Status } from '../../ui/Status'
import { SourceNames } from '../../ui/sources'
import { T } from './texts'

export default function Services() {
  const t = useTexts(T)
  const common = useCommon()
  const format = useFormat()
  const go = useGo()
  const href = (row: ServiceRow) =>
    `/services/${encodeURIComponent(row.namespace)}/${encodeURIComponent(row.name)}`
  const columns: Column<ServiceRow>[] = [
    { id: 'name', title: t.name, sort: 'name', cell: row => <A to={href(row)}>{row.name}</A> },
    { id: 'namespace', title: t.namespace, sort: 'namespace', cell: row => row.namespace },
    { id: 'kind', title: t.kind, cell: row => row.kind, optional: true },
    { id: 'sources', title: t.sources, cell: row => <SourceNames of={row.sources} /> },
    { id: 'state', title: t.state, sort: 'state', tight: true, cell: row => <StateOf state={row.state} /> },
    {
      id: 'healthy',
      title: t.healthy,
      sort: 'healthy',
      tight: true,
      align: 'right',
      cell: row => (
        <span className="row" style={{ justifyContent: 'flex-end' }}>
          {row.held > 0 && (
            <Status tone="warn" title={t.heldTip}>
              {t.held(row.held)}
            </Status>
          )}
          <span
            className={
              row.healthy === 0 && row.endpoints > 0
                ? 'tone-bad'
                : row.healthy < row.endpoints
                  ? 'tone-warn'
                  : undefined
            }
          >
            {row.healthy}/{row.endpoints}
          </span>
        </span>
      ),
    },
    { id: 'protocols', title: t.protocols, cell: row => row.protocols.join(', ') },
    { id: 'hosts', title: t.hosts, cell: row => row.hosts.join(', '), optional: true },
    {
      id: 'observedCallers',
      title: t.observedCallers,
      sort: 'observedCallers',
      align: 'right',
      cell: row => row.observedCallers,
    },
    {
      id: 'callers',
      title: t.callers,
      sort: 'callers',
      align: 'right',
      cell: row => row.callers,
      optional: true,
    },
    { id: 'routes', title: t.routes, sort: 'routes', align: 'right', cell: row => row.routes },
    {
      id: 'policies',
      title: t.policies,
      sort: 'policies',
      align: 'right',
      cell: row => row.policies,
      optional: true,
    },
    {
      id: 'rate',
      title: t.rate,
      sort: 'rate',
      align: 'right',
      tight: true,
      cell: row => format.rate(row.rate),
    },
    {
      id: 'errors',
      title: t.errors,
      sort: 'errors',
      align: 'right',
      tight: true,
      cell: row => (
        <span className={(row.errors ?? 0) > 0.01 ? 'tone-bad' : undefined}>
          {format.percent(row.errors)}
        </span>
      ),
    },
    { id: 'p99', title: t.p99, sort: 'p99', align: 'right', tight: true, cell: row => format.ms(row.p99) },
    {
      id: 'changed',
      title: t.changed,
      sort: 'changed',
      align: 'right',
      tight: true,
      cell: row => <Age at={row.changed} />,
    },
  ]
  const states = ['live', 'syncing', 'degraded', 'stale', 'lost'] as const
  return (
    <Page title={t.title} actions={<Act onClick={() => go('/wizards/publish')}>{t.publish}</Act>}>
      <ResourceTable
        from="registries"
        label={t.title}
        path="/services"
        columns={columns}
        rowKey={row => `${row.namespace}/${row.name}`}
        searchLabel={t.search}
        filters={[
          { param: 'state', label: t.state, options: states.map(value => ({ value, label: common[value] })) },
          {
            param: 'protocols',
            label: t.protocols,
            options: ['http', 'grpc', 'tcp', 'dubbo', 'udp'].map(value => ({ value, label: value })),
          },
        ]}
        defaultSort="name"
        cli="isthmus get services"
        every={15_000}
        empty={{
          text: t.emptyText,
          action: (
            <span className="row">
              <Act variant="filled" onClick={() => go('/wizards/publish')}>
                {t.publish}
              </Act>
              <Act onClick={() => go('/wizards/registry')}>{t.connect}</Act>
            </span>
          ),
        }}
      />
    </Page>
  )
}
