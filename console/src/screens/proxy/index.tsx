import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { useApi } from '../../api/hooks'
import { send } from '../../api/http'
import { usePermission } from '../../api/me'
import type { Proxy } from '../../api/types'
import { useParams } from '../../app/params'
import { useTexts } from '../../i18n'
import { useCommon } from '../../i18n/common'
import { useFormat } from '../../i18n/format'
import { A } from '../../ui/A'
import { Age } from '../../ui/Age'
import { Act, CliButton, Facts, Notice, Page, Panel } from '../../ui/basics'
import { Origin } from '../../ui/findings'
import { Dialog } from '../../ui/overlays'
import { StateOf } from '../../ui/Status'
import { ErrorCard, Loaded } from '../../ui/states'
import { Table } from '../../ui/Table'
import { Tabs } from '../../ui/Tabs'
import { useToasts } from '../../ui/toasts'
import { Replica, Scope, Step, stateOf } from '../proxies'
import { T } from '../proxies/texts'
import { Config } from './Config'

export default function ProxyPage() {
  const { id = '' } = useParams()
  const t = useTexts(T)
  const proxy = useApi<Proxy>(`/proxies/${encodeURIComponent(id)}`)
  return (
    <Page
      title={
        <span className="row wrap">
          {id}
          {proxy.data && (
            <span style={{ fontSize: 13 }}>
              <StateOf state={stateOf(proxy.data)} />
            </span>
          )}
        </span>
      }
      name={id}
      crumbs={
        <>
          <A to="/proxies">{t.title}</A> / {proxy.data?.role}
        </>
      }
      actions={proxy.data && <Actions proxy={proxy.data} />}
    >
      <Loaded query={proxy}>
        {data => (
          <Tabs
            label={t.parts}
            tabs={[
              { id: 'summary', title: t.summary, show: () => <Summary proxy={data} /> },
              { id: 'config', title: t.config, show: () => <Config id={id} /> },
            ]}
          />
        )}
      </Loaded>
    </Page>
  )
}

function Summary({ proxy }: { proxy: Proxy }) {
  const t = useTexts(T)
  const format = useFormat()
  const refusals = proxy.types.flatMap(type => (type.nack ? [{ type: type.type, ...type.nack }] : []))
  return (
    <div className="stack">
      {refusals.map(nack => (
        <Notice key={nack.type} tone="bad" title={`${t.refused}: ${nack.type}`}>
          <div className="mono" lang="en" style={{ overflowWrap: 'anywhere' }}>
            {nack.text}
          </div>
          <div>
            {t.servesOn}{' '}
            {nack.origins.map(origin => (
              <Origin key={origin} text={origin} />
            ))}{' '}
            <span className="dim">
              <Age at={nack.at} ago />
            </span>
          </div>
        </Notice>
      ))}
      <Panel>
        <Facts
          of={[
            [t.scope, <Scope key="s" proxy={proxy} />],
            [t.revision, <Step key="r" proxy={proxy} />],
            [
              t.wanted,
              <span key="w" className="mono">
                {proxy.wanted}
              </span>,
            ],
            [
              t.held,
              <span key="h" className="mono">
                {proxy.held || '–'}
              </span>,
            ],
            [t.lag, proxy.lagMs > 0 ? format.duration(proxy.lagMs) : undefined],
            [t.edition, proxy.edition],
            [t.replica, <Replica key="p" proxy={proxy} />],
            [t.envoy, proxy.envoy],
            [t.protocol, proxy.protocol],
            [
              t.address,
              <span key="a" className="mono">
                {proxy.address}
              </span>,
            ],
            [t.region, [proxy.region, proxy.zone].filter(Boolean).join(' / ')],
            [t.since, <Age key="c" at={proxy.connectedAt} ago />],
          ]}
        />
      </Panel>
      <Panel title={t.types_} flush>
        <Table
          label={t.types_}
          rows={proxy.types}
          rowKey={type => type.type}
          columns={[
            { id: 'type', title: t.type, cell: type => type.type },
            {
              id: 'state',
              title: t.state,
              cell: type => <StateOf state={type.state} title={type.nack?.text} />,
            },
            {
              id: 'resources',
              title: t.resources,
              align: 'right',
              cell: type => format.number(type.resources),
            },
          ]}
        />
      </Panel>
    </div>
  )
}

function Actions({ proxy }: { proxy: Proxy }) {
  const t = useTexts(T)
  const common = useCommon()
  const toasts = useToasts()
  const namespace = proxy.scope.split('/')[0]
  const denied = usePermission('operator', namespace)
  const [asking, setAsking] = useState(false)
  const drain = useMutation({
    mutationFn: () => send(`/proxies/${encodeURIComponent(proxy.id)}/drain`, { method: 'POST' }),
    onSuccess: () => {
      toasts.say('good', t.drained)
      setAsking(false)
    },
  })
  return (
    <>
      <CliButton command={`isthmus proxy config ${proxy.id} all`} />
      <Act why={denied} onClick={() => setAsking(true)}>
        {t.drain}
      </Act>
      {asking && (
        <Dialog
          title={t.drainTitle(proxy.id)}
          size="md"
          onClose={() => {
            drain.reset()
            setAsking(false)
          }}
        >
          <div className="stack">
            <span>{t.drainText}</span>
            {drain.error && <ErrorCard error={drain.error} />}
            <div className="row" style={{ justifyContent: 'flex-end' }}>
              <Act onClick={() => setAsking(false)}>{common.cancel}</Act>
              <Act variant="filled" loading={drain.isPending} onClick={() => drain.mutate()}>
                {t.drain}
              </Act>
            </div>
          </div>
        </Dialog>
      )}
    </>
  )
}
