import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { pluralOf } from './hooks'
import { url } from './http'
import { documentPath, kindInfo, objectHref, parseOrigin } from './kinds'
import { may } from './me'
import { type StreamMessage, WatchStream } from './stream'
import type { Me } from './types'

describe('paths', () => {
  it('hold what is given, and leave out what is not', () => {
    expect(url('/services', { q: 'a b', limit: 1, sort: undefined, ns: '' })).toBe(
      '/api/v1/services?q=a+b&limit=1',
    )
    expect(pluralOf('/namespaces/shop/httproutes/a')).toBe('httproutes')
    expect(pluralOf('/services/shop/a')).toBe('services')
  })

  it('lead to objects', () => {
    const route = kindInfo('HTTPRoute')
    const gatewayClass = kindInfo('GatewayClass')
    expect(route && documentPath(route, 'shop', 'a/b')).toBe('/namespaces/shop/httproutes/a%2Fb')
    expect(gatewayClass && documentPath(gatewayClass, '', 'x')).toBe('/gatewayclasses/x')
    expect(objectHref({ kind: 'HTTPRoute', namespace: 'shop', name: 'a' })).toBe('/routes/httproutes/shop/a')
    expect(objectHref({ kind: 'GatewayClass', namespace: '', name: 'x' })).toBe(
      '/documents/gatewayclasses/-/x',
    )
    expect(objectHref({ kind: 'Other', namespace: '', name: 'x' })).toBeUndefined()
  })

  it('of origins are read', () => {
    const found = { kind: 'HTTPRoute', namespace: 'shop', name: 'a', pointer: '/spec/rules/2' }
    expect(parseOrigin('HTTPRoute shop/a /spec/rules/2')).toEqual(found)
    expect(parseOrigin('HTTPRoute shop/a rule 2')).toEqual(found)
    expect(parseOrigin('GatewayClass x')).toEqual({
      kind: 'GatewayClass',
      namespace: '',
      name: 'x',
      pointer: '',
    })
  })
})

describe('rights', () => {
  const me = {
    roles: [
      { role: 'viewer', namespaces: ['shop-*'] },
      { role: 'editor', namespaces: ['shop-a'] },
    ],
  } as Me
  it('count where they were given', () => {
    expect(may(me, 'viewer', 'shop-b')).toBe(true)
    expect(may(me, 'editor', 'shop-b')).toBe(false)
    expect(may(me, 'viewer')).toBe(false)
  })
})

class FakeSource extends EventTarget {
  static CLOSED = 2
  static made: FakeSource[] = []
  readyState = 1
  onopen?: () => void
  onerror?: () => void
  constructor(readonly url: string) {
    super()
    FakeSource.made.push(this)
  }
  close() {
    this.readyState = 2
  }
  say(type: string, data: unknown, lastEventId: string) {
    this.dispatchEvent(new MessageEvent(type, { data: JSON.stringify(data), lastEventId }))
  }
}

describe('the watch stream', () => {
  const told: StreamMessage[] = []
  beforeEach(() => {
    vi.useFakeTimers()
    vi.stubGlobal('EventSource', FakeSource)
    FakeSource.made = []
    told.length = 0
  })
  afterEach(() => {
    vi.useRealTimers()
    vi.unstubAllGlobals()
  })
  const begin = () => {
    const stream = new WatchStream(message => told.push(message))
    stream.open()
    const source = FakeSource.made[0] as FakeSource
    source.onopen?.()
    return { stream, source }
  }

  it('tells what changed once a second at most', () => {
    const { source } = begin()
    source.say('put', { kind: 'services', name: 'a' }, '1')
    source.say('put', { kind: 'services', name: 'b' }, '2')
    source.say('del', { kind: 'proxies', name: 'c' }, '3')
    expect(told).toEqual([{ type: 'up' }])
    vi.advanceTimersByTime(1000)
    expect(told.slice(1)).toEqual([{ type: 'changed', kinds: ['services', 'proxies'] }])
  })

  it('goes on where it was when the server gives up, and says that it was away', () => {
    const { source } = begin()
    source.say('mark', { seq: 7 }, '7')
    source.readyState = FakeSource.CLOSED
    source.onerror?.()
    expect(told.at(-1)).toEqual({ type: 'down' })
    vi.advanceTimersByTime(1000)
    expect(FakeSource.made.at(-1)?.url).toBe('/api/v1/watch?since=7')
    FakeSource.made.at(-1)?.onopen?.()
    expect(told.at(-1)).toEqual({ type: 'up' })
  })

  it('says nothing of a reconnect within a moment', () => {
    const { source } = begin()
    source.readyState = 0
    source.onerror?.()
    vi.advanceTimersByTime(2000)
    source.onopen?.()
    vi.advanceTimersByTime(5000)
    expect(told.filter(message => message.type === 'down')).toEqual([])
  })

  it('does not believe a stream that says nothing any more', () => {
    const { source } = begin()
    source.say('mark', { seq: 7 }, '7')
    vi.advanceTimersByTime(20_000)
    expect(told.at(-1)).toEqual({ type: 'down' })
  })
})
