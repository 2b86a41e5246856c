// The one way to the API. Everything that is not a good answer becomes an `ApiError` with the server's problem in it.

import type { ProblemJson } from './types'

export const ROOT = '/api/v1'

export class ApiError extends Error {
  constructor(readonly problem: ProblemJson) {
    super(problem.detail || problem.title)
    this.name = 'ApiError'
  }
}

export type Query = Record<string, string | number | boolean | undefined | null>

export interface Options {
  method?: string
  query?: Query
  /** An object is sent as JSON, text as YAML. */
  body?: unknown
  headers?: Record<string, string>
  signal?: AbortSignal
}

export interface Answer<T> {
  data: T
  etag: string | null
}

export function url(path: string, query: Query = {}): string {
  const given = Object.entries(query).filter(
    ([, value]) => value !== undefined && value !== null && value !== '',
  )
  const search = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString()
  return ROOT + path + (search ? `?${search}` : '')
}

/** Called when the server asks who we are. */
let onUnauthenticated = () => {}
export function whenUnauthenticated(action: () => void): void {
  onUnauthenticated = action
}

export async function send<T>(path: string, options: Options = {}): Promise<Answer<T>> {
  const { method = 'GET', query, body, headers, signal } = options
  const text = typeof body === 'string'
  let response: Response
  try {
    response = await fetch(url(path, query), {
      method,
      signal,
      credentials: 'same-origin',
      headers: {
        accept: 'application/json',
        'isthmus-client': 'console',
        ...(body === undefined ? {} : { 'content-type': text ? 'application/yaml' : 'application/json' }),
        ...headers,
      },
      body: body === undefined ? undefined : text ? body : JSON.stringify(body),
    })
  } catch (error) {
    if (signal?.aborted) throw error
    throw new ApiError(local('UNREACHABLE', 0, String(error), true))
  }
  const content = response.headers.get('content-type') ?? ''
  if (!response.ok) {
    const problem: ProblemJson = content.includes('json')
      ? await response.json()
      : local(`HTTP${response.status}`, response.status, response.statusText, response.status >= 500)
    problem.instance ||= response.headers.get('x-request-id') ?? ''
    if (response.status === 401 && path !== '/login') onUnauthenticated()
    throw new ApiError(problem)
  }
  const data = content.includes('json') ? await response.json() : await response.text()
  return { data: data as T, etag: response.headers.get('etag') }
}

export async function get<T>(path: string, query?: Query, signal?: AbortSignal): Promise<T> {
  return (await send<T>(path, { query, signal })).data
}

function local(code: string, status: number, detail: string, retryable: boolean): ProblemJson {
  return { type: 'about:blank', title: '', status, detail, instance: '', code, hint: '', retryable }
}
