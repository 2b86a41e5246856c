import { useEffect, useMemo, useState } from 'react'
import { useApi } from '../../api/hooks'
import { ROOT } from '../../api/http'
import type { Observation, RequestRow } from '../../api/types'
import { useAddress, useScope } from '../../app/location'
import { useTexts } from '../../i18n'
import { useFormat } from '../../i18n/format'
import { A } from '../../ui/A'
import { Act, Chips, CliButton, Code, Facts, Notice, Page, Panel } from '../../ui/basics'
import { Drawer, Menu } from '../../ui/overlays'
import { type Column, type Filter, ResourceTable } from '../../ui/ResourceTable'
import { Status, type Tone } from '../../ui/Status'
import { Table } from '../../ui/Table'
import { T } from './texts'

const FOLLOWED = 200

export function statusTone(status: number): Tone {
  if (status >= 500 || status === 0) return 'bad'
  if (status >= 400) return 'warn'
  return status >= 300 ? 'note' : 'good'
}

/** `service/shop/orders` → `shop/orders`, with a way there. */
function Place({ of, none }: { of: string; none?: string }) {
  const t = useTexts(T)
  const [kind, namespace, name] = of.split('/')
  if (!of) return <span className="dim">{none || t.none}</span>
  if (!name || (kind !== 'service' && kind !== 'gateway')) return <span className="mono">{of}</span>
  return (
    <A to={`/${kind}s/${namespace}/${name}`} className="link mono">
      {namespace}/{name}
    </A>
  )
}

function useColumns(): Column<RequestRow>[] {
  const t = useTexts(T)
  const format = useFormat()
  return useMemo(
    () => [
      {
        id: 'at',
        title: t.at,
        tight: true,
        cell: row => (
          <time dateTime={row.at} title={format.dateTime(row.at)} className="num">
            {format.clock(row.at)}
          </time>
        ),
      },
      {
        id: 'status',
        title: t.status,
        tight: true,
        cell: row => <Status tone={statusTone(row.status)}>{row.grpcStatus ?? row.status}</Status>,
      },
      {
        id: 'request',
        title: t.request,
        cell: row => (
          <span className="mono">
            {row.method} {row.host}
            {row.path}
          </span>
        ),
      },
      { id: 'source', title: t.source, cell: row => <Place of={row.source} /> },
      {
        id: 'target',
        title: t.target,
        cell: row => <Place of={row.target} none={row.route && t.noBackend} />,
      },
      { id: 'route', title: t.route, cell: row => <span className="mono">{row.route}</span> },
      {
        id: 'duration',
        title: t.duration,
        align: 'right',
        tight: true,
        cell: row => format.ms(row.duration),
      },
      { id: 'flags', title: t.flags, cell: row => <Chips of={row.flags} empty="" /> },
      { id: 'lane', title: t.lane, optional: true, cell: row => row.lane },
      { id: 'proxy', title: t.proxy, optional: true, cell: row => <span className="mono">{row.proxy}</span> },
      {
        id: 'upstream',
        title: t.upstream,
        optional: true,
        cell: row => <span className="mono">{row.upstream}</span>,
      },
    ],
    [t, format],
  )
}

export default function RequestsScreen() {
  const t = useTexts(T)
  const format = useFormat()
  const [search, setSearch] = useAddress()
  const ns = useScope()
  const columns = useColumns()
  const [open, setOpen] = useState<RequestRow>()
  const observation = useApi<Observation>('/traffic/observation', {}, { every: 10_000 })
  const filters: Filter[] = [
    {
      param: 'status',
      label: t.status,
      options: ['2xx', '3xx', '4xx', '5xx'].map(value => ({ value, label: value })),
    },
    {
      param: 'method',
      label: t.method,
      options: ['GET', 'POST', 'PUT', 'DELETE', 'PATCH'].map(value => ({ value, label: value })),
    },
    { param: 'gateway', label: t.gateway },
    { param: 'service', label: t.service },
    { param: 'slower', label: t.slower },
  ]
  const asked = new URLSearchParams(
    [...filters.map(filter => filter.param), 'q', 'route']
      .filter(name => search[name])
      .map(name => [name, search[name] ?? '']),
  )
  if (ns) asked.set('namespace', ns)
  const state = observation.data
  const following = search.follow === '1'
  const download = (kind: string) => {
    location.href = `${ROOT}/requests?${new URLSearchParams([...asked, ['limit', '10000'], ['format', kind]])}`
  }
  return (
    <Page title={t.title}>
      {state && !state.on && <Notice tone="warn">{t.off}</Notice>}
      {state?.on && state.sampling < 1 && (
        <Notice tone="note">{t.sampled(format.percent(state.sampling))}</Notice>
      )}
      {state && state.dropped > 0 && <Notice tone="warn">{t.dropped(format.number(state.dropped))}</Notice>}
      {following ? (
        <Follow
          query={asked.toString()}
          columns={columns}
          onOpen={setOpen}
          stop={() => setSearch({ follow: undefined })}
        />
      ) : (
        <ResourceTable<RequestRow>
          label={t.title}
          path="/requests"
          columns={columns}
          filters={filters}
          searchLabel={t.search}
          rowKey={row => `${row.at} ${row.requestId} ${row.proxy} ${row.path} ${row.upstream}`}
          onRow={setOpen}
          every={10_000}
          cli="isthmus requests"
          empty={{ text: t.empty }}
          actions={
            <>
              <Act onClick={() => setSearch({ follow: '1' })}>{t.follow}</Act>
              <Menu
                target={<Act>{t.export}</Act>}
                items={[
                  { label: 'JSON Lines', onClick: () => download('jsonl') },
                  { label: 'CSV', onClick: () => download('csv') },
                ]}
              />
            </>
          }
        />
      )}
      {open && <Detail row={open} close={() => setOpen(undefined)} />}
    </Page>
  )
}

/** New requests as they come. */
function Follow(props: {
  query: string
  columns: Column<RequestRow>[]
  onOpen: (row: RequestRow) => void
  stop: () => void
}) {
  const { query, columns, onOpen, stop } = props
  const t = useTexts(T)
  const [rows, setRows] = useState<[number, RequestRow][]>([])
  useEffect(() => {
    setRows([])
    let count = 0
    let waiting: [number, RequestRow][] = []
    const stream = new EventSource(`${ROOT}/requests/follow${query ? `?${query}` : ''}`)
    const take = (event: MessageEvent<string>) => {
      count += 1
      waiting = [[count, JSON.parse(event.data) as RequestRow] as [number, RequestRow], ...waiting].slice(
        0,
        FOLLOWED,
      )
    }
    stream.addEventListener('message', take)
    stream.addEventListener('request', take)
    // Many may come at once; the eye does not follow more than a few times a second.
    const timer = setInterval(() => {
      if (waiting.length === 0) return
      const fresh = waiting
      waiting = []
      setRows(before => [...fresh, ...before].slice(0, FOLLOWED))
    }, 300)
    return () => {
      clearInterval(timer)
      stream.close()
    }
  }, [query])
  const withOpen: Column<[number, RequestRow]>[] = columns
    .filter(column => !column.optional)
    .map(column => ({
      ...column,
      cell: ([, row]) =>
        column.id === 'request' ? (
          <button type="button" className="th-button" onClick={() => onOpen(row)}>
            {column.cell(row)}
          </button>
        ) : (
          column.cell(row)
        ),
    }))
  return (
    <Panel title={t.following} actions={<Act onClick={stop}>{t.stop}</Act>} flush>
      <Table
        label={t.title}
        rows={rows}
        rowKey={([number]) => String(number)}
        columns={withOpen}
        empty={t.empty}
      />
    </Panel>
  )
}

function Detail({ row, close }: { row: RequestRow; close: () => void }) {
  const t = useTexts(T)
  const format = useFormat()
  const why = new URLSearchParams({ url: `http://${row.host}${row.path}`, method: row.method })
  if (row.role === 'gateway') why.set('gateway', row.source.replace(/^gateway\//, ''))
  return (
    <Drawer title={`${row.method} ${row.host}${row.path}`} onClose={close}>
      <div className="stack">
        <div className="row wrap">
          <Status tone={statusTone(row.status)}>{row.status}</Status>
          <A to={`/why?${why}`}>{t.openWhy}</A>
          <CliButton command={`isthmus why --method ${row.method} --url 'http://${row.host}${row.path}'`} />
        </div>
        <Facts
          of={[
            [t.at, format.dateTime(row.at)],
            [t.source, <Place key="source" of={row.source} />],
            [t.target, <Place key="target" of={row.target} none={row.route && t.noBackend} />],
            [t.route, row.route && `${row.route}${row.rule === undefined ? '' : ` #${row.rule}`}`],
            [t.duration, format.ms(row.duration)],
            [
              t.upstreamDuration,
              row.upstreamDuration === undefined ? undefined : format.ms(row.upstreamDuration),
            ],
            [t.flags, row.flags.length > 0 && <Chips of={row.flags} />],
            [t.details, row.details],
            [t.attempts, row.attempts],
            [t.upstream, row.upstream],
            [t.remote, row.remote],
            [t.forwardedFor, row.forwardedFor],
            [t.protocol, row.protocol],
            [t.bytes, `${format.number(row.bytesIn)}, ${format.number(row.bytesOut)}`],
            [t.lane, row.lane],
            [
              t.proxy,
              <A key="proxy" to={`/proxies/${encodeURIComponent(row.proxy)}`}>
                {row.proxy}
              </A>,
            ],
            [t.userAgent, row.userAgent],
            [t.requestId, row.requestId && <span className="mono">{row.requestId}</span>],
            ...Object.entries(row.custom).map(([name, value]): [string, string] => [name, value]),
          ]}
        />
        <h3>{t.raw}</h3>
        <Code text={JSON.stringify(row, null, 2)} wrap />
      </div>
    </Drawer>
  )
}
