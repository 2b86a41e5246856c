// The address bar holds what is looked at: scope (`ns`), filters, sort, columns, tab, time. All of it is text.

import { useNavigate, useSearch } from '@tanstack/react-router'
import { useCallback } from 'react'

export type Search = Record<string, string>

export function parseSearch(text: string): Search {
  return Object.fromEntries(new URLSearchParams(text))
}

export function stringifySearch(search: Record<string, unknown>): string {
  const given = Object.entries(search).filter(([, value]) => value !== undefined && value !== '')
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString()
  return text ? `?${text}` : ''
}

/** What the address says, and a way to change some of it; an empty value takes a name out. */
export function useAddress(): [Search, (change: Record<string, string | undefined>, push?: boolean) => void] {
  const search = useSearch({ strict: false }) as Search
  const navigate = useNavigate()
  const change = useCallback(
    (next: Record<string, string | undefined>, push = false) => {
      void navigate({
        to: '.',
        search: ((before: Search) => ({ ...before, ...next })) as never,
        replace: !push,
      })
    },
    [navigate],
  )
  return [search, change]
}

/** The namespace that everything is narrowed to; empty for all. */
export function useScope(): string {
  return (useSearch({ strict: false }) as Search).ns ?? ''
}

/** Goes to another screen; the scope stays. */
export function useGo(): (path: string) => void {
  const navigate = useNavigate()
  const ns = useScope()
  return useCallback(
    path => {
      const { pathname, search } = split(path)
      void navigate({ to: pathname as never, search: { ...(ns ? { ns } : {}), ...search } as never })
    },
    [navigate, ns],
  )
}

export function split(path: string): { pathname: string; search: Search } {
  const [pathname = '', search = ''] = path.split('?')
  return { pathname, search: parseSearch(search) }
}
