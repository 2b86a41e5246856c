import { IconChevronDown } from '@tabler/icons-react'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { queries, useList } from '../../api/hooks'
import { send } from '../../api/http'
import { kindInfo } from '../../api/kinds'
import { usePermission } from '../../api/me'
import type { List, RegistryEvent, RegistryProbe, RegistryService, Source } from '../../api/types'
import { useParams } from '../../app/params'
import { useTexts } from '../../i18n'
import { useCommon } from '../../i18n/common'
import { useAge, useFormat } from '../../i18n/format'
import { ObjectPage } from '../../objects/ObjectPage'
import { A } from '../../ui/A'
import { Age } from '../../ui/Age'
import { Act, Facts, Notice, Panel } from '../../ui/basics'
import { TextField } from '../../ui/form'
import { Dialog, Menu } from '../../ui/overlays'
import { StateOf, Status } from '../../ui/Status'
import { Empty, ErrorCard, Loaded, Skeleton } from '../../ui/states'
import { Table } from '../../ui/Table'
import { useToasts } from '../../ui/toasts'
import { T } from '../registries/texts'

export default function Registry() {
  const { namespace = '', name = '' } = useParams()
  const t = useTexts(T)
  const info = kindInfo('Registry')
  if (!info) return null
  return (
    <ObjectPage
      info={info}
      namespace={namespace}
      name={name}
      back={{ to: '/registries', title: t.title }}
      summary={() => <Summary namespace={namespace} name={name} />}
      actions={<Actions namespace={namespace} name={name} />}
    />
  )
}

function pathOf(namespace: string, name: string): string {
  return `/registries/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`
}

function Summary({ namespace, name }: { namespace: string; name: string }) {
  const t = useTexts(T)
  const common = useCommon()
  const full = `${namespace}/${name}`
  const sources = useList<Source>('/sources', {}, { every: 10_000 })
  const source = sources.data?.items.find(each => each.name === full || each.name === `registry:${full}`)
  const path = pathOf(namespace, name)
  const services = useList<RegistryService>(`${path}/services`, { limit: 1000 }, { every: 10_000 })
  const events = useList<RegistryEvent>(`${path}/events`, {}, { every: 10_000 })
  const held = (services.data?.items ?? []).reduce((sum, service) => sum + service.held, 0)
  return (
    <>
      {source && held > 0 && <Held at={source.freshAt} held={held} reason={source.reason} />}
      {source && (
        <Panel>
          <Facts
            of={[
              [t.state, <StateOf key="s" state={source.state} />],
              [
                t.reason,
                source.reason && (
                  <span key="r" lang="en">
                    {source.reason}
                  </span>
                ),
              ],
              [t.type, source.kind],
              [
                t.addresses,
                <span key="a" className="mono">
                  {source.target}
                </span>,
              ],
              [t.fresh, <Age key="f" at={source.freshAt} ago />],
            ]}
          />
        </Panel>
      )}
      <Panel title={t.services} flush>
        <Loaded query={services}>
          {({ items }) => (
            <Table
              label={t.services}
              rows={items}
              rowKey={service => `${service.group}@@${service.name}`}
              empty={
                <span className="dim">
                  {source && source.state !== 'live' && !source.freshAt
                    ? common.emptyFailed(full)
                    : t.noServices}
                </span>
              }
              columns={[
                {
                  id: 'name',
                  title: t.service,
                  cell: service => (
                    <>
                      {service.name}
                      {service.group && <span className="dim"> @ {service.group}</span>}
                    </>
                  ),
                },
                {
                  id: 'state',
                  title: t.state,
                  tight: true,
                  cell: service => (
                    <span className="row">
                      <StateOf state={service.state} title={service.reason} />
                      {service.frozen && <Status tone="note">{t.frozen}</Status>}
                    </span>
                  ),
                },
                {
                  id: 'healthy',
                  title: t.healthy,
                  align: 'right',
                  tight: true,
                  cell: service => `${service.healthy}/${service.instances}`,
                },
                {
                  id: 'held',
                  title: t.held,
                  align: 'right',
                  tight: true,
                  cell: service =>
                    service.held > 0 ? (
                      <span className="tone-warn">
                        {service.held} · <Age at={service.heldSince} />
                      </span>
                    ) : (
                      '–'
                    ),
                },
                { id: 'consumers', title: t.consumers, cell: service => service.consumers.join(', ') || '–' },
                {
                  id: 'imported',
                  title: t.imported,
                  cell: service =>
                    service.importedAs ? (
                      <A to={`/services/${service.importedAs}`}>{service.importedAs}</A>
                    ) : (
                      '–'
                    ),
                },
                {
                  id: 'seen',
                  title: t.seen,
                  align: 'right',
                  tight: true,
                  cell: service => <Age at={service.seenAt} />,
                },
              ]}
            />
          )}
        </Loaded>
      </Panel>
      <Panel title={t.events} flush>
        <Loaded query={events}>
          {({ items }) =>
            items.length === 0 ? (
              <Empty why="nothing" text={t.noEvents} />
            ) : (
              <Table
                label={t.events}
                rows={items.toSorted((a, b) => b.at.localeCompare(a.at)).slice(0, 50)}
                rowKey={(event, index) => `${event.at} ${index}`}
                columns={[
                  { id: 'at', title: t.at, tight: true, cell: event => <Age at={event.at} ago /> },
                  {
                    id: 'service',
                    title: t.service,
                    cell: event => event.service || <span className="dim">{t.whole}</span>,
                  },
                  { id: 'what', title: t.what, tight: true, cell: event => <StateOf state={event.what} /> },
                  { id: 'why', title: t.reason, cell: event => <span lang="en">{event.why}</span> },
                  {
                    id: 'change',
                    title: t.change,
                    align: 'right',
                    tight: true,
                    cell: event => t.fromTo(event.before, event.after, event.held),
                  },
                ]}
              />
            )
          }
        </Loaded>
      </Panel>
    </>
  )
}

function Held({ at, held, reason }: { at?: string; held: number; reason: string }) {
  const t = useTexts(T)
  const age = useAge(at ?? 0)
  return (
    <Notice tone="warn" title={at ? t.heldNotice(age, held) : undefined}>
      <span lang="en">{reason}</span>
    </Notice>
  )
}

type Verb = 'hold' | 'release' | 'resync' | 'flush'

function Actions({ namespace, name }: { namespace: string; name: string }) {
  const t = useTexts(T)
  const common = useCommon()
  const toasts = useToasts()
  const denied = usePermission('operator', namespace)
  const [testing, setTesting] = useState(false)
  const [flushing, setFlushing] = useState(false)
  const [typed, setTyped] = useState('')
  const steer = useMutation({
    mutationFn: (verb: Verb) => send(`${pathOf(namespace, name)}/${verb}`, { method: 'POST' }),
    onSuccess: (_, verb) => {
      toasts.say('good', t.steered(t[verb]))
      setFlushing(false)
      void queries.invalidateQueries({ queryKey: ['registries'] })
    },
    onError: error => {
      if (!flushing) toasts.say('bad', <ErrorCard error={error} />)
    },
  })
  const verb = (of: Exclude<Verb, 'flush'>) => ({
    label: t[of],
    why: denied,
    onClick: () => steer.mutate(of),
  })
  return (
    <>
      <Act why={denied} onClick={() => setTesting(true)}>
        {t.test}
      </Act>
      <Menu
        target={
          <Act rightSection={<IconChevronDown size={14} />} loading={steer.isPending}>
            {t.actions}
          </Act>
        }
        items={[
          verb('resync'),
          verb('hold'),
          verb('release'),
          { label: `${t.flush}…`, why: denied, danger: true, onClick: () => setFlushing(true) },
        ]}
      />
      {testing && <Test namespace={namespace} name={name} close={() => setTesting(false)} />}
      {flushing && (
        <Dialog title={t.flushTitle(name)} size="md" onClose={() => setFlushing(false)}>
          <div className="stack">
            <Notice tone="warn">{t.flushTip}</Notice>
            <TextField label={name} value={typed} onChange={setTyped} autoComplete="off" />
            {steer.error && <ErrorCard error={steer.error} />}
            <div className="row" style={{ justifyContent: 'flex-end' }}>
              <Act onClick={() => setFlushing(false)}>{common.cancel}</Act>
              <Act
                variant="filled"
                color="red.8"
                why={typed === name ? undefined : name}
                loading={steer.isPending}
                onClick={() => steer.mutate('flush')}
              >
                {t.flush}
              </Act>
            </div>
          </div>
        </Dialog>
      )}
    </>
  )
}

/** Asks each address of the registry. */
function Test({ namespace, name, close }: { namespace: string; name: string; close: () => void }) {
  const t = useTexts(T)
  const format = useFormat()
  const [begun, setBegun] = useState(false)
  const test = useMutation({
    mutationFn: () => send<List<RegistryProbe>>(`${pathOf(namespace, name)}/test`, { method: 'POST' }),
  })
  if (!begun) {
    setBegun(true)
    queueMicrotask(() => test.mutate())
  }
  return (
    <Dialog title={t.testTitle(`${namespace}/${name}`)} onClose={close} size={760}>
      <div className="stack">
        {test.isPending && <Skeleton rows={3} />}
        {test.error && <ErrorCard error={test.error} retry={() => test.mutate()} />}
        {test.data && (
          <Table
            label={t.test}
            rows={test.data.data.items}
            rowKey={probe => probe.address}
            columns={[
              {
                id: 'address',
                title: t.address,
                cell: probe => <span className="mono">{probe.address}</span>,
              },
              {
                id: 'answer',
                title: t.answer,
                cell: probe =>
                  probe.error ? (
                    <Status tone="bad">
                      <span lang="en">{probe.error}</span>
                    </Status>
                  ) : (
                    <Status tone="good">{t.answers}</Status>
                  ),
              },
              { id: 'latency', title: t.latency, align: 'right', cell: probe => format.ms(probe.latencyMs) },
              { id: 'version', title: t.version, cell: probe => probe.version ?? '–' },
              {
                id: 'auth',
                title: t.auth,
                cell: probe =>
                  probe.authenticated === undefined ? (
                    '–'
                  ) : (
                    <Status tone={probe.authenticated ? 'good' : 'bad'}>
                      {probe.authenticated ? t.accepted : t.rejected}
                    </Status>
                  ),
              },
              { id: 'services', title: t.services, align: 'right', cell: probe => probe.services ?? '–' },
            ]}
          />
        )}
      </div>
    </Dialog>
  )
}
