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
import { SelectField } from '../../ui/form'
import { Dialog } from '../../ui/overlays'
import { StateOf } from '../../ui/Status'
import { ErrorCard, Loaded } from '../../ui/states'
import { Table } from '../../ui/Table'
import { Tabs } from '../../ui/Tabs'
import { useToasts } from '../../ui/toasts'
import { Scope, Step, stateOf } from '../proxies'
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
  const [asking, setAsking] = useState<'drain' | 'loglevel'>()
  const [level, setLevel] = useState('info')
  const path = `/proxies/${encodeURIComponent(proxy.id)}/${asking}`
  const act = useMutation({
    mutationFn: () => send(path, { method: 'POST', query: asking === 'loglevel' ? { level } : {} }),
    onSuccess: () => {
      toasts.say('good', asking === 'drain' ? t.drained : t.logged(level))
      setAsking(undefined)
    },
  })
  return (
    <>
      <CliButton command={`isthmus proxy config ${proxy.id} all`} />
      <Act why={denied} onClick={() => setAsking('loglevel')}>
        {t.loglevel}
      </Act>
      <Act why={denied} onClick={() => setAsking('drain')}>
        {t.drain}
      </Act>
      {asking && (
        <Dialog
          title={asking === 'drain' ? t.drainTitle(proxy.id) : t.loglevel}
          size="md"
          onClose={() => {
            act.reset()
            setAsking(undefined)
          }}
        >
          <div className="stack">
            {asking === 'drain' ? (
              <span>{t.drainText}</span>
            ) : (
              <SelectField
                label={t.loglevel}
                value={level}
                data={['trace', 'debug', 'info', 'warning', 'error']}
                onChange={setLevel}
              />
            )}
            {act.error && <ErrorCard error={act.error} />}
            <div className="row" style={{ justifyContent: 'flex-end' }}>
              <Act onClick={() => setAsking(undefined)}>{common.cancel}</Act>
              <Act variant="filled" loading={act.isPending} onClick={() => act.mutate()}>
                {asking === 'drain' ? t.drain : common.apply}
              </Act>
            </div>
          </div>
        </Dialog>
      )}
    </>
  )
}
