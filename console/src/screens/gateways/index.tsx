import { useList } from '../../api/hooks'
import type { Document, Proxy } from '../../api/types'
import { useGo } from '../../app/location'
import { useTexts } from '../../i18n'
import { ObjectState } from '../../objects/conditions'
import { A } from '../../ui/A'
import { Act, Chips, Page } from '../../ui/basics'
import { type Column, ResourceTable } from '../../ui/ResourceTable'
import { Status } from '../../ui/Status'
import { T } from './texts'

interface Listener {
  name: string
  port: number
  protocol: string
  hostname?: string
}

export default function Gateways() {
  const t = useTexts(T)
  const go = useGo()
  const proxies = useList<Proxy>('/proxies', { limit: 1000 })
  const of = ({ metadata }: Document) =>
    (proxies.data?.items ?? []).filter(proxy => proxy.scope === `${metadata.namespace}/${metadata.name}`)
  const columns: Column<Document>[] = [
    {
      id: 'name',
      title: t.name,
      sort: 'name',
      cell: ({ metadata }) => <A to={`/gateways/${metadata.namespace}/${metadata.name}`}>{metadata.name}</A>,
    },
    { id: 'namespace', title: t.namespace, sort: 'namespace', cell: ({ metadata }) => metadata.namespace },
    { id: 'class', title: t.class, cell: ({ spec }) => spec?.gatewayClassName },
    {
      id: 'listeners',
      title: t.listeners,
      cell: ({ spec }) => (
        <Chips
          of={(spec?.listeners ?? []).map(
            (l: Listener) => `${l.protocol} ${l.port}${l.hostname ? ` ${l.hostname}` : ''}`,
          )}
        />
      ),
    },
    {
      id: 'addresses',
      title: t.addresses,
      cell: ({ status }) => (
        <span className="mono">
          {(status?.addresses ?? []).map((address: { value: string }) => address.value).join(', ') || '–'}
        </span>
      ),
    },
    {
      id: 'routes',
      title: t.routes,
      align: 'right',
      cell: ({ status }) =>
        (status?.listeners ?? []).reduce(
          (sum: number, l: { attachedRoutes: number }) => sum + l.attachedRoutes,
          0,
        ),
    },
    {
      id: 'proxies',
      title: t.proxies,
      align: 'right',
      tight: true,
      cell: gateway => {
        const all = of(gateway)
        const live = all.filter(proxy => proxy.inStep).length
        if (all.length === 0) return <Status tone="idle">0</Status>
        return (
          <A to={`/proxies?q=${encodeURIComponent(all[0]?.scope ?? '')}`}>
            <Status tone={live === all.length ? 'good' : 'warn'}>
              {live}/{all.length}
            </Status>
          </A>
        )
      },
    },
    { id: 'state', title: t.state, tight: true, cell: gateway => <ObjectState document={gateway} /> },
  ]
  return (
    <Page title={t.title} actions={<Act onClick={() => go('/wizards/publish')}>{t.create}</Act>}>
      <ResourceTable
        from="documents"
        label={t.title}
        path={ns => (ns ? `/namespaces/${encodeURIComponent(ns)}/gateways` : '/gateways')}
        columns={columns}
        rowKey={({ metadata }) => `${metadata.namespace}/${metadata.name}`}
        cli="isthmus get gateways"
        empty={{ text: t.emptyText, action: <Act onClick={() => go('/wizards/publish')}>{t.create}</Act> }}
      />
    </Page>
  )
}
