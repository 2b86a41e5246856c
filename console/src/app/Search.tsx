// Ctrl-K: one field over everything that has a name, a host, a path or an address.

import { useQueries } from '@tanstack/react-query'
import { useMemo, useState } from 'react'
import { get } from '../api/http'
import { objectHref } from '../api/kinds'
import type { Document, List, Proxy, ServiceRow } from '../api/types'
import { useTexts } from '../i18n'
import { TextField } from '../ui/form'
import { Dialog } from '../ui/overlays'
import { useGo } from './location'
import { NAV } from './nav'
import { T } from './texts'

interface Hit {
  kind: string
  name: string
  more: string
  to: string
}

const PLACES = [
  '/services',
  '/proxies',
  '/httproutes',
  '/grpcroutes',
  '/gateways',
  '/registries',
  '/revisions',
]

export function Search({ close }: { close: () => void }) {
  const t = useTexts(T)
  const go = useGo()
  const [text, setText] = useState('')
  const [chosen, setChosen] = useState(0)
  const q = text.trim()
  const results = useQueries({
    queries: PLACES.map(path => ({
      queryKey: ['search', path, q],
      enabled: q.length > 1,
      staleTime: 10_000,
      retry: false,
      queryFn: ({ signal }: { signal: AbortSignal }) => get<List<unknown>>(path, { q, limit: 6 }, signal),
    })),
  })
  const found = results.map(result => result.data?.items)
  const hits = useMemo<Hit[]>(() => {
    const screens = NAV.flatMap(group => group.items)
      .map(item => ({ kind: t.searchPages, name: t[item.title] as string, more: '', to: item.to }))
      .filter(hit => !q || hit.name.toLowerCase().includes(q.toLowerCase()))
    const objects =
      q.length > 1
        ? found.flatMap((items, index) => (items ?? []).map(item => hitOf(PLACES[index] ?? '', item)))
        : []
    return [...objects, ...screens].slice(0, 40)
  }, [found, q, t])
  const open = (hit: Hit | undefined) => {
    if (!hit) return
    close()
    go(hit.to)
  }
  const at = Math.min(chosen, hits.length - 1)
  return (
    <Dialog title={t.searchTitle} onClose={close} size={620}>
      <TextField
        data-autofocus
        size="sm"
        role="combobox"
        aria-expanded
        aria-controls="hits"
        aria-activedescendant={at >= 0 ? `hit-${at}` : undefined}
        aria-label={t.searchHint}
        placeholder={t.searchHint}
        value={text}
        onChange={value => {
          setText(value)
          setChosen(0)
        }}
        onKeyDown={event => {
          if (event.key === 'ArrowDown') setChosen(Math.min(at + 1, hits.length - 1))
          else if (event.key === 'ArrowUp') setChosen(Math.max(at - 1, 0))
          else if (event.key === 'Enter') open(hits[at])
          else return
          event.preventDefault()
        }}
      />
      <div id="hits" role="listbox" aria-label={t.searchTitle} className="hits">
        {hits.map((hit, index) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the keys are the field's above
          <div
            key={`${hit.to} ${hit.name}`}
            id={`hit-${index}`}
            role="option"
            tabIndex={-1}
            aria-selected={index === at}
            className="hit"
            onClick={() => open(hit)}
            onMouseEnter={() => setChosen(index)}
          >
            <span className="dim" style={{ flex: '0 0 110px' }}>
              {hit.kind}
            </span>
            <span className="cut">{hit.name}</span>
            <span className="dim cut grow" style={{ textAlign: 'right' }}>
              {hit.more}
            </span>
          </div>
        ))}
        {hits.length === 0 && <p className="dim">{t.searchNone}</p>}
      </div>
    </Dialog>
  )
}

function hitOf(place: string, item: unknown): Hit {
  if (place === '/services') {
    const { kind, namespace, name, hosts } = item as ServiceRow
    return {
      kind,
      name: `${namespace}/${name}`,
      more: hosts?.[0] ?? '',
      to: `/services/${namespace}/${encodeURIComponent(name)}`,
    }
  }
  if (place === '/proxies') {
    const { id, address, role } = item as Proxy
    return { kind: role, name: id, more: address, to: `/proxies/${encodeURIComponent(id)}` }
  }
  if (place === '/revisions') {
    const { id, author, reason } = item as { id: string; author: string; reason: string }
    return { kind: 'Revision', name: id, more: reason || author, to: `/revisions/${id}` }
  }
  const { kind, metadata, spec } = item as Document
  const object = { kind, namespace: metadata.namespace ?? '', name: metadata.name }
  const hosts = Array.isArray(spec?.hostnames) ? spec.hostnames.join(', ') : ''
  return { kind, name: `${object.namespace}/${object.name}`, more: hosts, to: objectHref(object) ?? '/' }
}
