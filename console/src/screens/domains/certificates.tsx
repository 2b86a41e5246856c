// What the certificates in Secrets say, and how long they hold.

import type { Document, Time } from '../../api/types'
import { texts, useTexts } from '../../i18n'
import { useFormat, useNow } from '../../i18n/format'
import { Status } from '../../ui/Status'

const T = texts(
  {
    left: (days: number) => (days === 1 ? '1 day left' : `${days} days left`),
    ended: 'has ended',
  },
  {
    left: days => `剩余 ${days} 天`,
    ended: '已过期',
  },
)

export interface Certificate {
  /** `NAMESPACE/NAME` */
  secret: string
  hosts: string[]
  issuer: string
  notAfter: Time
}

/** Days before its end at which a certificate is told of. */
export const SOON = 30
const LATE = 7
const DAY = 86_400_000

/** Those that end first come first. */
export function certificatesOf(secrets: Document[]): Certificate[] {
  const all = secrets.flatMap(({ metadata, status }): Certificate[] => {
    const certificate = status?.certificate
    return certificate ? [{ secret: `${metadata.namespace}/${metadata.name}`, ...certificate }] : []
  })
  return all.sort((a, b) => Date.parse(a.notAfter) - Date.parse(b.notAfter))
}

export function daysLeft({ notAfter }: Certificate, now: number): number {
  return (Date.parse(notAfter) - now) / DAY
}

export function Expiry({ of }: { of: Certificate }) {
  const t = useTexts(T)
  const format = useFormat()
  const left = daysLeft(of, useNow())
  return (
    <Status tone={left < LATE ? 'bad' : left < SOON ? 'warn' : 'good'} title={format.dateTime(of.notAfter)}>
      {left < 0 ? t.ended : t.left(Math.floor(left))}
    </Status>
  )
}
