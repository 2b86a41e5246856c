// Lives once for all tabs of a browser. Tabs join and leave; without any that looks, the stream is closed.

import { type StreamMessage, WatchStream } from './stream'

/** Tabs say `alive` every 10 s (once a minute when hidden and throttled); the ports of dead ones never close by themselves. */
const DEAD = 150_000

const tabs = new Map<MessagePort, number>()
let last: StreamMessage | undefined

const stream = new WatchStream(message => {
  if (message.type === 'up' || message.type === 'down') last = message
  for (const port of tabs.keys()) port.postMessage(message)
})

function leave(port: MessagePort): void {
  tabs.delete(port)
  if (tabs.size > 0) return
  stream.close()
  last = undefined
}
// TypeScript's DOM library has no SharedWorkerGlobalScope.
;(self as unknown as { onconnect: (event: MessageEvent) => void }).onconnect = event => {
  const port = event.ports[0]
  if (!port) return
  port.onmessage = ({ data }) => {
    if (data === 'leave') return leave(port)
    if (data === 'alive' && !tabs.has(port)) return
    tabs.set(port, Date.now())
    if (data !== 'join') return
    if (last) port.postMessage(last)
    stream.open()
  }
}

setInterval(() => {
  for (const [port, seen] of tabs) if (Date.now() - seen > DEAD) leave(port)
}, DEAD / 2)
