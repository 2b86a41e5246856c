// Short words in the corner. One that follows a revision stays until all proxies have it, or one has refused.

import { CloseButton } from '@mantine/core'
import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useState } from 'react'
import { useApi } from '../api/hooks'
import type { Revision } from '../api/types'
import { texts, useTexts } from '../i18n'
import { useCommon } from '../i18n/common'
import { A } from './A'
import { type Tone, ToneIcon } from './Status'

const T = texts(
  {
    applied: (r: string) => `Applied as ${r}`,
    sent: (live: number, total: number) => `Sent: ${live} of ${total} proxies have it`,
    live: (live: number, total: number) => `Live ${live}/${total}`,
    noProxies: 'No proxy is connected that would get it',
    refused: (n: number) => `${n} ${n === 1 ? 'proxy has' : 'proxies have'} refused it`,
    see: 'See the revision',
    problems: 'See the problems',
    region: 'Messages',
  },
  {
    applied: r => `已应用为 ${r}`,
    sent: (live, total) => `已下发:${live} / ${total} 个代理已生效`,
    live: (live, total) => `已生效 ${live}/${total}`,
    noProxies: '没有会收到它的已连接代理',
    refused: n => `${n} 个代理拒绝了它`,
    see: '查看版本',
    problems: '查看问题',
    region: '消息',
  },
)

interface Message {
  id: number
  tone: Tone
  title: ReactNode
  text?: ReactNode
  revision?: string
}

interface Toasts {
  say: (tone: Tone, title: ReactNode, text?: ReactNode) => void
  /** Follows a revision until it is live everywhere. */
  follow: (revision: string) => void
}

const Context = createContext<Toasts | undefined>(undefined)

export function useToasts(): Toasts {
  const toasts = useContext(Context)
  if (!toasts) throw new Error('useToasts outside of ToastProvider')
  return toasts
}

let count = 0

export function ToastProvider({ children }: { children: ReactNode }) {
  const [messages, setMessages] = useState<Message[]>([])
  const t = useTexts(T)
  const close = useCallback((id: number) => setMessages(all => all.filter(m => m.id !== id)), [])
  const value = useMemo<Toasts>(() => {
    const add = (message: Omit<Message, 'id'>) => {
      count += 1
      const id = count
      setMessages(all => [...all.slice(-3), { id, ...message }])
    }
    return {
      say: (tone, title, text) => add({ tone, title, text }),
      follow: revision => add({ tone: 'note', title: '', revision }),
    }
  }, [])
  return (
    <Context.Provider value={value}>
      {children}
      <section className="toasts" aria-label={t.region} aria-live="polite">
        {messages.map(message =>
          message.revision ? (
            <Following key={message.id} revision={message.revision} close={() => close(message.id)} />
          ) : (
            <Said key={message.id} message={message} close={() => close(message.id)} />
          ),
        )}
      </section>
    </Context.Provider>
  )
}

function Said({ message, close }: { message: Message; close: () => void }) {
  useEffect(() => {
    // What went wrong stays until somebody has seen it.
    if (message.tone === 'bad') return
    const timer = setTimeout(close, 6000)
    return () => clearTimeout(timer)
  }, [message.tone, close])
  return (
    <Box tone={message.tone} title={message.title} close={close}>
      {message.text}
    </Box>
  )
}

function Following({ revision, close }: { revision: string; close: () => void }) {
  const t = useTexts(T)
  const { data } = useApi<Revision>(`/revisions/${revision}`)
  const live = data?.live
  const refused = live ? live.refused > 0 : false
  const done = live !== undefined && !refused && live.live >= live.total
  useEffect(() => {
    if (!done && data?.current !== false) return
    const timer = setTimeout(close, 8000)
    return () => clearTimeout(timer)
  }, [done, data?.current, close])
  return (
    <Box
      tone={refused ? 'bad' : done ? 'good' : 'note'}
      title={t.applied(data?.id ?? revision)}
      close={close}
    >
      {live &&
        (refused
          ? t.refused(live.refused)
          : live.total === 0
            ? t.noProxies
            : done
              ? t.live(live.live, live.total)
              : t.sent(live.live, live.total))}{' '}
      <A to={refused ? '/problems' : `/revisions/${revision}`}>{refused ? t.problems : t.see}</A>
    </Box>
  )
}

function Box({
  tone,
  title,
  close,
  children,
}: {
  tone: Tone
  title: ReactNode
  close: () => void
  children?: ReactNode
}) {
  const t = useCommon()
  return (
    <div className={`notice tone-${tone}`}>
      <ToneIcon tone={tone} size={17} />
      <div>
        <strong>{title}</strong>
        {children && <div>{children}</div>}
      </div>
      <CloseButton size="sm" aria-label={t.close} onClick={close} />
    </div>
  )
}
