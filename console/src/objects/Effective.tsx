// What connected proxies are meant to have of one document, by type; asked of one proxy of each sort.

import { useQueries } from '@tanstack/react-query'
import { useState } from 'react'
import { useList } from '../api/hooks'
import { get } from '../api/http'
import { parseOrigin } from '../api/kinds'
import type { ConfigView, ObjectName, Proxy } from '../api/types'
import { useTexts } from '../i18n'
import { A } from '../ui/A'
import { Code, Panel } from '../ui/basics'
import { StateOf } from '../ui/Status'
import { Empty, Loaded, Skeleton } from '../ui/states'
import { T } from './texts'

const TYPES = ['LDS', 'RDS', 'CDS', 'EDS']

export function Effective({ object }: { object: ObjectName }) {
  const proxies = useList<Proxy>('/proxies', { limit: 1000 })
  return (
    <Loaded query={proxies}>
      {({ items }) => {
        // Proxies of one scope have the same configuration.
        const one = new Map<string, Proxy>()
        for (const proxy of items) if (!one.has(proxy.scope)) one.set(proxy.scope, proxy)
        return <Resources object={object} proxies={[...one.values()].slice(0, 20)} all={items} />
      }}
    </Loaded>
  )
}

function Resources({ object, proxies, all }: { object: ObjectName; proxies: Proxy[]; all: Proxy[] }) {
  const t = useTexts(T)
  const asked = proxies.flatMap(proxy => TYPES.map(type => ({ proxy, type })))
  const results = useQueries({
    queries: asked.map(({ proxy, type }) => ({
      queryKey: ['proxies', `/proxies/${proxy.id}/config`, type],
      queryFn: ({ signal }: { signal: AbortSignal }) =>
        get<ConfigView>(`/proxies/${encodeURIComponent(proxy.id)}/config`, { type }, signal),
      retry: false,
    })),
  })
  if (results.some(result => result.isPending)) return <Skeleton />
  const found = proxies
    .map(proxy => ({
      proxy,
      resources: asked.flatMap((each, index) =>
        each.proxy === proxy
          ? (results[index]?.data?.types.flatMap(each => each.resources) ?? [])
              .filter(resource => resource.origins.some(origin => isOf(origin, object)))
              .map(resource => ({ ...resource, type: each.type }))
          : [],
      ),
    }))
    .filter(({ resources }) => resources.length > 0)
  if (found.length === 0) return <Empty why="nothing" text={t.noEffect} />
  return (
    <div className="stack">
      <p className="dim" style={{ margin: 0 }}>
        {t.effectiveText}
      </p>
      {found.map(({ proxy, resources }) => (
        <Panel
          key={proxy.id}
          title={proxy.scope}
          actions={all
            .filter(each => each.scope === proxy.scope)
            .slice(0, 6)
            .map(each => (
              <span key={each.id} className="row" style={{ gap: 4 }}>
                <A to={`/proxies/${encodeURIComponent(each.id)}`}>{each.id}</A>
                <StateOf
                  state={
                    each.inStep ? 'inStep' : each.types.some(x => x.state === 'nack') ? 'refused' : 'behind'
                  }
                />
              </span>
            ))}
        >
          {resources.map(resource => (
            <Resource key={`${resource.type} ${resource.name}`} {...resource} />
          ))}
        </Panel>
      ))}
    </div>
  )
}

function Resource({
  type,
  name,
  version,
  resource,
}: {
  type: string
  name: string
  version: string
  resource: unknown
}) {
  const [open, setOpen] = useState(false)
  return (
    <details className="fold" open={open} onToggle={event => setOpen(event.currentTarget.open)}>
      <summary>
        <span className="dim">{type}</span>
        <span className="mono grow cut">{name}</span>
        <span className="dim mono">{version.slice(0, 10)}</span>
      </summary>
      <div className="body">
        {open && <Code text={JSON.stringify(resource, null, 2)} style={{ maxHeight: 420 }} />}
      </div>
    </details>
  )
}

function isOf(origin: string, object: ObjectName): boolean {
  const found = parseOrigin(origin)
  return found?.kind === object.kind && found.namespace === object.namespace && found.name === object.name
}
