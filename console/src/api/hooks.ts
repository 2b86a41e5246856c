// Reading through TanStack Query. The first part of every key is the path's plural, so that the watch stream can say
// which answers are out of date.

import { keepPreviousData, QueryClient, type UseQueryResult, useQuery } from '@tanstack/react-query'
import type { Answer } from './http'
import { ApiError, get, type Query, send } from './http'
import { documentPath, type KindInfo } from './kinds'
import type { Document, List } from './types'

export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      // The watch stream says when something is out of date.
      staleTime: 60_000,
      gcTime: 300_000,
      refetchOnWindowFocus: false,
      retry: (count, error) => count < 2 && error instanceof ApiError && error.problem.retryable,
      retryDelay: count => 500 * 2 ** count,
    },
  },
})

/** `/services/shop/orders` → `services`; `/namespaces/shop/httproutes/a` → `httproutes`. */
export function pluralOf(path: string): string {
  const parts = path.split('/')
  return (parts[1] === 'namespaces' && parts[3] ? parts[3] : parts[1]) ?? ''
}

interface Extra {
  enabled?: boolean
  /** Milliseconds: for what the watch stream does not carry, such as traffic. */
  every?: number
}

export function useApi<T>(path: string, query: Query = {}, extra: Extra = {}): UseQueryResult<T, Error> {
  return useQuery({
    queryKey: [pluralOf(path), path, query],
    queryFn: ({ signal }) => get<T>(path, query, signal),
    placeholderData: keepPreviousData,
    enabled: extra.enabled,
    refetchInterval: extra.every,
  })
}

export function useList<T>(
  path: string,
  query: Query = {},
  extra: Extra = {},
): UseQueryResult<List<T>, Error> {
  return useApi<List<T>>(path, query, extra)
}

/** A document with its ETag, which a write has to name. */
export function useDocument(
  info: KindInfo,
  namespace: string,
  name: string,
): UseQueryResult<Answer<Document>, Error> {
  const path = documentPath(info, namespace, name)
  return useQuery({
    queryKey: [info.plural, path, 'document'],
    queryFn: ({ signal }) => send<Document>(path, { signal }),
  })
}
