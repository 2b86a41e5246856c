import { useList } from '../../api/hooks'
import { kindInfo } from '../../api/kinds'
import type { Condition, Document, Proxy } from '../../api/types'
import { useParams } from '../../app/params'
import { useTexts } from '../../i18n'
import { conditionTone } from '../../objects/conditions'
import { ObjectPage } from '../../objects/ObjectPage'
import { Traffic } from '../../objects/Traffic'
import { A } from '../../ui/A'
import { Age } from '../../ui/Age'
import { Panel } from '../../ui/basics'
import { ObjectLink } from '../../ui/findings'
import { StateOf, Status } from '../../ui/Status'
import { Table } from '../../ui/Table'
import { T } from '../gateways/texts'

interface Listener {
  name: string
  port: number
  protocol: string
  hostname?: string
  tls?: { certificateRefs?: { name: string; namespace?: string; kind?: string }[] }
}

interface ListenerStatus {
  name: string
  attachedRoutes: number
  conditions: Condition[]
}

export default function Gateway() {
  const { namespace = '', name = '' } = useParams()
  const t = useTexts(T)
  const info = kindInfo('Gateway')
  if (!info) return null
  return (
    <ObjectPage
      info={info}
      namespace={namespace}
      name={name}
      back={{ to: '/gateways', title: t.title }}
      summary={document => <Summary gateway={document} />}
      traffic={<Traffic of={`gateway/${namespace}/${name}`} />}
    />
  )
}

function Summary({ gateway }: { gateway: Document }) {
  const t = useTexts(T)
  const listeners: Listener[] = gateway.spec?.listeners ?? []
  const statuses: ListenerStatus[] = gateway.status?.listeners ?? []
  const scope = `${gateway.metadata.namespace}/${gateway.metadata.name}`
  const proxies = useList<Proxy>('/proxies', { limit: 1000 })
  const mine = (proxies.data?.items ?? []).filter(proxy => proxy.scope === scope)
  const status = (listener: Listener) => statuses.find(each => each.name === listener.name)
  return (
    <>
      <Panel title={t.listeners} flush>
        <Table
          label={t.listeners}
          rows={listeners}
          rowKey={listener => listener.name}
          columns={[
            { id: 'name', title: t.listener, cell: listener => <strong>{listener.name}</strong> },
            {
              id: 'port',
              title: t.port,
              tight: true,
              cell: listener => `${listener.protocol} ${listener.port}`,
            },
            {
              id: 'host',
              title: t.host,
              cell: listener => listener.hostname ?? <span className="dim">{t.anyHost}</span>,
            },
            {
              id: 'tls',
              title: t.tls,
              cell: listener =>
                listener.tls?.certificateRefs?.map(ref => (
                  <ObjectLink
                    key={ref.name}
                    object={{
                      kind: ref.kind ?? 'Secret',
                      namespace: ref.namespace ?? gateway.metadata.namespace ?? '',
                      name: ref.name,
                    }}
                  />
                )) ?? '–',
            },
            {
              id: 'routes',
              title: t.attached,
              align: 'right',
              cell: listener => status(listener)?.attachedRoutes ?? '–',
            },
            {
              id: 'state',
              title: t.state,
              cell: listener => (
                <span className="row wrap">
                  {(status(listener)?.conditions ?? [])
                    .filter(
                      condition => conditionTone(condition) !== 'good' || condition.type === 'Programmed',
                    )
                    .map(condition => (
                      <Status key={condition.type} tone={conditionTone(condition)} title={condition.message}>
                        {condition.type}
                      </Status>
                    ))}
                </span>
              ),
            },
          ]}
        />
      </Panel>
      <Panel title={t.connected} flush>
        <Table
          label={t.connected}
          rows={mine}
          rowKey={proxy => proxy.id}
          empty={<span className="dim">{t.noProxies}</span>}
          columns={[
            {
              id: 'id',
              title: t.proxy,
              cell: proxy => <A to={`/proxies/${encodeURIComponent(proxy.id)}`}>{proxy.id}</A>,
            },
            { id: 'state', title: t.state, tight: true, cell: proxy => <ProxyStep proxy={proxy} /> },
            {
              id: 'revision',
              title: t.revision,
              tight: true,
              cell: proxy => proxy.heldRevision ?? proxy.held,
            },
            { id: 'envoy', title: t.envoy, tight: true, cell: proxy => proxy.envoy },
            {
              id: 'since',
              title: t.since,
              align: 'right',
              tight: true,
              cell: proxy => <Age at={proxy.connectedAt} />,
            },
          ]}
        />
      </Panel>
    </>
  )
}

function ProxyStep({ proxy }: { proxy: Proxy }) {
  if (proxy.inStep) return <StateOf state="inStep" />
  return <StateOf state={proxy.types.some(type => type.state === 'nack') ? 'refused' : 'behind'} />
}
