// A list of the server: it filters, sorts and pages there, and all of that is in the address, so that "back" and a link
// bring the same view. An empty list says which of five reasons it has.

import { Checkbox, Popover } from '@mantine/core'
import {
  IconArrowDown,
  IconArrowUp,
  IconChevronLeft,
  IconChevronRight,
  IconChevronsLeft,
  IconColumns3,
  IconRefresh,
  IconSearch,
  IconX,
} from '@tabler/icons-react'
import { type ReactNode, useEffect, useRef, useState } from 'react'
import { useList } from '../api/hooks'
import type { Query } from '../api/http'
import { may, useMe } from '../api/me'
import type { List, Source } from '../api/types'
import { useLive } from '../app/live'
import { useAddress, useScope } from '../app/location'
import { useCommon } from '../i18n/common'
import { useAge } from '../i18n/format'
import { Act, CliButton, IconAct } from './basics'
import { SelectField, TextField } from './form'
import { type Emptiness, Empty, ErrorCard, Skeleton } from './states'
import { type Column, cellClass } from './Table'

export type { Column } from './Table'

export interface Filter {
  /** Name of the query parameter, and in the address. */
  param: string
  label: string
  options?: { value: string; label: string }[]
}

interface Props<T> {
  label: string
  /** `/services`; `(ns) => …` where the path itself holds the namespace. */
  path: string | ((namespace: string) => string)
  columns: Column<T>[]
  rowKey: (row: T) => string
  filters?: Filter[]
  searchLabel?: string
  /** Sent always. */
  query?: Query
  defaultSort?: string
  onRow?: (row: T) => void
  isOpen?: (row: T) => boolean
  /** `isthmus get services` */
  cli?: string
  /** What to do where there is nothing at all. */
  empty?: { text?: ReactNode; action?: ReactNode }
  /** Where the rows come from: an empty list means little while one of these cannot be read. Without it, from the server itself. */
  from?: 'documents' | 'registries'
  /** Beside the filters. */
  actions?: ReactNode
  /** Milliseconds, for lists that the watch stream does not carry. */
  every?: number
  limit?: number
}

export function ResourceTable<T>(props: Props<T>) {
  const {
    label,
    path,
    columns,
    rowKey,
    filters = [],
    query = {},
    defaultSort,
    onRow,
    isOpen,
    limit = 100,
  } = props
  const t = useCommon()
  const [search, setSearch] = useAddress()
  const ns = useScope()
  const sort = search.sort ?? defaultSort
  // Cursors of the pages before this one; after a reload only the first page is known.
  const [before, setBefore] = useState<string[]>([])
  const shape = JSON.stringify([search.q, sort, ns, filters.map(f => search[f.param])])
  const last = useRef(shape)
  useEffect(() => {
    if (last.current === shape) return
    last.current = shape
    setBefore([])
    setSearch({ cursor: undefined })
  }, [shape, setSearch])

  const scoped = typeof path === 'function'
  const all: Query = { ...query, limit, q: search.q, sort, cursor: search.cursor }
  if (!scoped && ns) all.namespace = ns
  for (const { param } of filters) all[param] = search[param]
  const list = useList<T>(scoped ? path(ns) : path, all, { every: props.every })

  const hidden = (search.hide ?? defaultHidden(columns)).split(',')
  const shown = columns.filter(column => !hidden.includes(column.id))
  const filtered = Boolean(search.q) || filters.some(f => search[f.param])
  const clear = () =>
    setSearch({ q: undefined, ...Object.fromEntries(filters.map(f => [f.param, undefined])) })
  const data = list.data
  const start = before.length * limit

  return (
    <div className="panel">
      <div className="toolbar">
        <SearchField
          label={props.searchLabel ?? t.search}
          value={search.q ?? ''}
          onChange={q => setSearch({ q })}
        />
        {filters.map(filter =>
          filter.options ? (
            <SelectField
              key={filter.param}
              aria-label={filter.label}
              w={170}
              value={search[filter.param] ?? ''}
              data={[{ value: '', label: `${filter.label}: ${t.all}` }, ...filter.options]}
              onChange={value => setSearch({ [filter.param]: value })}
            />
          ) : (
            <SearchField
              key={filter.param}
              label={filter.label}
              value={search[filter.param] ?? ''}
              onChange={value => setSearch({ [filter.param]: value })}
            />
          ),
        )}
        {filtered && (
          <Act variant="subtle" leftSection={<IconX size={13} />} onClick={clear}>
            {t.clearFilters}
          </Act>
        )}
        <span className="row wrap" style={{ marginLeft: 'auto' }}>
          {props.actions}
          <ColumnsMenu columns={columns} hidden={hidden} onChange={hide => setSearch({ hide })} />
          {props.cli && <CliButton command={props.cli + (ns ? ` -n ${ns}` : ' -A')} />}
          <IconAct label={t.refresh} onClick={() => void list.refetch()}>
            <IconRefresh size={16} />
          </IconAct>
        </span>
      </div>
      {list.error && (
        <div style={{ padding: 10 }}>
          <ErrorCard error={list.error} retry={() => void list.refetch()} />
        </div>
      )}
      {!data && !list.error && <Skeleton rows={8} />}
      {data && data.items.length === 0 && !list.error && (
        <EmptyList
          list={data}
          filtered={filtered}
          clear={clear}
          ns={ns}
          empty={props.empty}
          from={props.from}
        />
      )}
      {data && data.items.length > 0 && (
        <div
          className={list.isPlaceholderData ? 'tablebox stale-data' : 'tablebox'}
          role="region"
          aria-label={label}
          tabIndex={0}
        >
          <table className="table">
            <thead>
              <tr>
                {shown.map(column => (
                  <Head
                    key={column.id}
                    column={column}
                    sort={sort}
                    onSort={next => setSearch({ sort: next })}
                  />
                ))}
              </tr>
            </thead>
            <tbody>
              {data.items.map(row => (
                <tr
                  key={rowKey(row)}
                  className={onRow ? 'can' : undefined}
                  data-open={isOpen?.(row) || undefined}
                  onClick={event => {
                    // Links, buttons and selected text are for themselves.
                    const target = event.target as HTMLElement
                    if (target.closest('a,button,input,label') || String(getSelection())) return
                    onRow?.(row)
                  }}
                >
                  {shown.map(column => (
                    <td key={column.id} className={cellClass(column)}>
                      {column.cell(row)}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {data && data.total > 0 && (
        <div className="pager">
          <span className="num">
            {t.rows(start + Math.min(1, data.items.length), start + data.items.length, data.total)} ·{' '}
            <AsOf at={data.asOf} />
          </span>
          {(data.next || search.cursor) && (
            <span className="row" style={{ gap: 2 }}>
              <IconAct
                label={t.first}
                why={search.cursor ? undefined : t.first}
                onClick={() => {
                  setBefore([])
                  setSearch({ cursor: undefined }, true)
                }}
              >
                <IconChevronsLeft size={16} />
              </IconAct>
              <IconAct
                label={t.previous}
                why={before.length > 0 ? undefined : t.previous}
                onClick={() => {
                  const cursor = before.at(-1)
                  setBefore(before.slice(0, -1))
                  setSearch({ cursor }, true)
                }}
              >
                <IconChevronLeft size={16} />
              </IconAct>
              <IconAct
                label={t.next}
                why={data.next ? undefined : t.next}
                onClick={() => {
                  setBefore([...before, search.cursor ?? ''])
                  setSearch({ cursor: data.next ?? undefined }, true)
                }}
              >
                <IconChevronRight size={16} />
              </IconAct>
            </span>
          )}
        </div>
      )}
    </div>
  )
}

function defaultHidden<T>(columns: Column<T>[]): string {
  return columns
    .filter(column => column.optional)
    .map(column => column.id)
    .join(',')
}

function AsOf({ at }: { at: string }) {
  const t = useCommon()
  const age = useAge(at)
  const live = useLive()
  // A list that the watch stream keeps is as new as the stream.
  return live.mode === 'live' ? <span>{t.live}</span> : <span>{t.asOf(age)}</span>
}

function Head<T>({
  column,
  sort,
  onSort,
}: {
  column: Column<T>
  sort?: string
  onSort: (sort: string) => void
}) {
  const { sort: name, align, width, title } = column
  const up = sort === name
  const down = sort === `-${name}`
  const direction = name && (up || down) ? (up ? 'ascending' : 'descending') : undefined
  return (
    <th scope="col" className={align} style={{ width }} aria-sort={direction}>
      {name ? (
        <button type="button" className="th-button" onClick={() => onSort(up ? `-${name}` : name)}>
          {title}
          {up && <IconArrowUp size={13} aria-hidden />}
          {down && <IconArrowDown size={13} aria-hidden />}
        </button>
      ) : (
        title
      )}
    </th>
  )
}

/** Waits for a pause in typing. */
export function SearchField({
  label,
  value,
  onChange,
}: {
  label: string
  value: string
  onChange: (value: string) => void
}) {
  const t = useCommon()
  const [text, setText] = useState(value)
  const sent = useRef(value)
  useEffect(() => {
    // The address was changed by somebody else: "back", or "clear".
    if (value !== sent.current) setText(value)
    sent.current = value
  }, [value])
  useEffect(() => {
    if (text === sent.current) return
    const timer = setTimeout(() => {
      sent.current = text
      onChange(text)
    }, 250)
    return () => clearTimeout(timer)
  }, [text, onChange])
  return (
    <TextField
      aria-label={label}
      placeholder={label}
      value={text}
      onChange={setText}
      w={230}
      leftSection={<IconSearch size={14} />}
      rightSection={
        text ? (
          <IconAct label={t.clear} onClick={() => setText('')}>
            <IconX size={13} />
          </IconAct>
        ) : undefined
      }
    />
  )
}

function ColumnsMenu<T>(props: { columns: Column<T>[]; hidden: string[]; onChange: (hide: string) => void }) {
  const { columns, hidden, onChange } = props
  const t = useCommon()
  const choices = columns.slice(1)
  return (
    <Popover position="bottom-end" shadow="md" withinPortal trapFocus transitionProps={{ duration: 0 }}>
      <Popover.Target>
        <IconAct label={t.columns}>
          <IconColumns3 size={16} />
        </IconAct>
      </Popover.Target>
      <Popover.Dropdown>
        <div className="stack" style={{ gap: 8 }}>
          {choices.map(column => (
            <Checkbox
              key={column.id}
              size="xs"
              label={column.title}
              checked={!hidden.includes(column.id)}
              onChange={event => {
                const on = event.currentTarget.checked
                const next = on ? hidden.filter(id => id !== column.id) : [...hidden, column.id]
                onChange(next.filter(Boolean).join(',') || 'none')
              }}
            />
          ))}
        </div>
      </Popover.Dropdown>
    </Popover>
  )
}

function EmptyList<T>(props: {
  list: List<T>
  filtered: boolean
  clear: () => void
  ns: string
  empty?: { text?: ReactNode; action?: ReactNode }
  from?: 'documents' | 'registries'
}) {
  const { filtered, clear, ns, empty, from } = props
  const t = useCommon()
  const me = useMe()
  const sources = useList<Source>('/sources')
  const read = (sources.data?.items ?? []).filter(
    ({ kind }) =>
      from === 'registries' || (from === 'documents' && (kind === 'file' || kind === 'kubernetes')),
  )
  const syncing = read.find(source => source.state === 'syncing')
  const failed = read.find(source => source.state === 'lost' || source.state === 'stale')
  const why: Emptiness = filtered
    ? 'filter'
    : !may(me, 'viewer', ns || undefined) && !me.roles.some(grant => grant.namespaces.length > 0 && !ns)
      ? 'right'
      : failed
        ? 'failed'
        : syncing
          ? 'syncing'
          : 'nothing'
  return (
    <Empty
      why={why}
      source={(failed ?? syncing)?.name}
      text={why === 'nothing' ? empty?.text : why === 'failed' ? failed?.reason : undefined}
      action={
        why === 'filter' ? (
          <Act onClick={clear}>{t.clearFilters}</Act>
        ) : why === 'nothing' ? (
          empty?.action
        ) : undefined
      }
    />
  )
}
