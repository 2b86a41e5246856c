// One EventSource on `/api/v1/watch`, kept up. Used by the SharedWorker, or by a tab itself.

export type StreamMessage =
  | { type: 'up' }
  | { type: 'down' }
  | { type: 'reset' }
  | { type: 'changed'; kinds: string[] }

/** A `mark` comes every 5 s; without any word for so long, the stream is dead although nobody said so. */
const SILENCE = 20_000
/** What changed is told at most once a second, so that a busy registry does not redraw a screen ten times. */
const MERGE = 1000
const GRACE = 4000
const RETRY = [1000, 2000, 5000, 10_000]

export class WatchStream {
  private source: EventSource | undefined
  private since = ''
  private tries = 0
  private watchdog: ReturnType<typeof setTimeout> | undefined
  private retry: ReturnType<typeof setTimeout> | undefined
  private falling: ReturnType<typeof setTimeout> | undefined
  private kinds = new Set<string>()
  private merging: ReturnType<typeof setTimeout> | undefined

  constructor(private readonly tell: (message: StreamMessage) => void) {}

  open(): void {
    if (this.source || this.retry) return
    // After a pause we go on from where we were; the browser itself sends Last-Event-ID when it reconnects.
    const query = this.since ? `?since=${encodeURIComponent(this.since)}` : ''
    const source = new EventSource(`/api/v1/watch${query}`)
    this.source = source
    source.onopen = () => {
      this.tries = 0
      this.heard()
      clearTimeout(this.falling)
      this.falling = undefined
      this.tell({ type: 'up' })
    }
    source.onerror = () => {
      // The server ends a stream now and then; who is back within a moment has lost nothing.
      this.falling ??= setTimeout(() => this.tell({ type: 'down' }), GRACE)
      // CLOSED: the browser has given up (an error status), so that it is ours to try again.
      if (source.readyState === EventSource.CLOSED) this.again()
    }
    for (const name of ['put', 'del']) source.addEventListener(name, event => this.changed(event))
    source.addEventListener('mark', event => this.heard(event))
    source.addEventListener('reset', event => {
      this.heard(event)
      this.tell({ type: 'reset' })
    })
  }

  close(): void {
    clearTimeout(this.watchdog)
    clearTimeout(this.retry)
    clearTimeout(this.falling)
    this.falling = undefined
    this.retry = undefined
    this.source?.close()
    this.source = undefined
  }

  private again(): void {
    this.tell({ type: 'down' })
    this.close()
    const wait = RETRY[Math.min(this.tries, RETRY.length - 1)] ?? 10_000
    this.tries += 1
    this.retry = setTimeout(() => {
      this.retry = undefined
      this.open()
    }, wait)
  }

  private heard(event?: MessageEvent<string>): void {
    if (event?.lastEventId) this.since = event.lastEventId
    clearTimeout(this.watchdog)
    this.watchdog = setTimeout(() => {
      this.again()
    }, SILENCE)
  }

  private changed(event: MessageEvent<string>): void {
    this.heard(event)
    try {
      const { kind } = JSON.parse(event.data) as { kind?: string }
      if (kind) this.kinds.add(kind)
    } catch {
      // Not ours to judge: whatever it was, what is shown may be old.
      this.tell({ type: 'reset' })
    }
    this.merging ??= setTimeout(() => {
      this.merging = undefined
      this.tell({ type: 'changed', kinds: [...this.kinds] })
      this.kinds.clear()
    }, MERGE)
  }
}
