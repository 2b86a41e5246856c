// What changed, told to this tab. One SharedWorker holds one stream for all tabs of a browser (browsers allow six streams
// to one origin); where there are no SharedWorkers, each tab has its own. While the stream is down, everything that is on
// the screen is asked for again every 10 s, and the state says so.

import { queries } from './hooks'
import { type StreamMessage, WatchStream } from './stream'

export type LiveState =
  | { mode: 'connecting' }
  | { mode: 'live' }
  | { mode: 'polling'; since: number }
  | { mode: 'paused'; since: number }

const POLL = 10_000
const HIDDEN = 60_000

let state: LiveState = { mode: 'connecting' }
let paused: number | undefined
let streamUp: boolean | undefined
let lost = 0
let missed = false
let started = false
const listeners = new Set<() => void>()
let post: (message: 'join' | 'leave' | 'alive') => void = () => {}

export function liveState(): LiveState {
  return state
}

export function onLiveState(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

export function setPaused(on: boolean): void {
  paused = on ? Date.now() : undefined
  if (!on && missed) refreshAll()
  settle()
}

/** Begins; to be called once somebody is logged in. */
export function startWatch(): void {
  if (started) return
  started = true
  connect()
  setInterval(() => {
    post('alive')
    if (streamUp === false && paused === undefined && !document.hidden) refreshAll()
  }, POLL)
  let hiding: ReturnType<typeof setTimeout> | undefined
  document.addEventListener('visibilitychange', () => {
    clearTimeout(hiding)
    if (document.hidden) hiding = setTimeout(() => post('leave'), HIDDEN)
    else {
      post('join')
      if (missed && paused === undefined) refreshAll()
    }
  })
  addEventListener('pagehide', () => post('leave'))
  addEventListener('pageshow', event => event.persisted && post('join'))
}

function connect(): void {
  try {
    const worker = new SharedWorker(new URL('./watch.worker.ts', import.meta.url), {
      type: 'module',
      name: 'isthmus-watch',
    })
    worker.port.onmessage = event => take(event.data as StreamMessage)
    worker.onerror = own
    post = message => worker.port.postMessage(message)
    post('join')
  } catch {
    own()
  }
}

/** A stream of this tab's own. */
function own(): void {
  const stream = new WatchStream(take)
  post = message => {
    if (message === 'join') stream.open()
    if (message === 'leave') stream.close()
  }
  post('join')
}

function take(message: StreamMessage): void {
  if (message.type === 'up') {
    const before = streamUp
    streamUp = true
    if (before === false) refreshAll()
  } else if (message.type === 'down') {
    if (streamUp !== false) lost = Date.now()
    streamUp = false
  } else if (message.type === 'reset') refreshAll()
  else refresh(new Set(message.kinds))
  settle()
}

function settle(): void {
  const next: LiveState =
    paused !== undefined
      ? { mode: 'paused', since: paused }
      : streamUp === undefined
        ? { mode: 'connecting' }
        : streamUp
          ? { mode: 'live' }
          : { mode: 'polling', since: lost }
  if (JSON.stringify(next) === JSON.stringify(state)) return
  state = next
  for (const listener of listeners) listener()
}

/** What the stream calls `kind` is the plural that paths have. Some changes show in other lists, too. */
const ALSO: Record<string, string[]> = {
  problems: ['findings'],
  registries: ['sources'],
  services: ['meshservices'],
}

function refresh(kinds: Set<string>): void {
  if (paused !== undefined || document.hidden) {
    missed = true
    return
  }
  const plurals = new Set([...kinds].flatMap(kind => [kind, ...(ALSO[kind] ?? [])]))
  void queries.invalidateQueries({ predicate: query => plurals.has(String(query.queryKey[0])) })
}

function refreshAll(): void {
  missed = false
  // `me` is asked for when it matters; everything else may have changed.
  void queries.invalidateQueries({ predicate: query => query.queryKey[0] !== 'me' })
}
