import {
  IconAlertTriangle,
  IconCircleCheck,
  IconCircleDashed,
  IconCircleX,
  IconInfoCircle,
} from '@tabler/icons-react'
import type { ReactNode } from 'react'
import { useCommon } from '../i18n/common'

export type Tone = 'good' | 'warn' | 'bad' | 'note' | 'idle'

const ICONS = {
  good: IconCircleCheck,
  warn: IconAlertTriangle,
  bad: IconCircleX,
  note: IconInfoCircle,
  idle: IconCircleDashed,
}

export function ToneIcon({ tone, size = 15 }: { tone: Tone; size?: number }) {
  const Icon = ICONS[tone]
  return <Icon size={size} stroke={2} className={`tone-${tone}`} aria-hidden />
}

/** A state: icon, word and colour, never colour alone. */
export function Status({ tone, children, title }: { tone: Tone; children: ReactNode; title?: string }) {
  return (
    <span className={`status tone-${tone}`} title={title}>
      <ToneIcon tone={tone} />
      {children}
    </span>
  )
}

const TONES: Record<string, Tone> = {
  live: 'good',
  healthy: 'good',
  ok: 'good',
  passed: 'good',
  inStep: 'good',
  syncing: 'note',
  pending: 'note',
  info: 'note',
  changed: 'note',
  added: 'good',
  degraded: 'warn',
  warning: 'warn',
  stale: 'warn',
  behind: 'warn',
  held: 'warn',
  draining: 'warn',
  lost: 'bad',
  error: 'bad',
  failed: 'bad',
  refused: 'bad',
  nack: 'bad',
  unhealthy: 'bad',
  removed: 'bad',
}

export function toneOf(state: string): Tone {
  return TONES[state] ?? 'idle'
}

/** A state by the word that the API uses, in the reader's language. */
export function StateOf({ state, title }: { state: string; title?: string }) {
  const t = useCommon()
  const word = t[state as keyof typeof t]
  return (
    <Status tone={toneOf(state)} title={title}>
      {typeof word === 'string' ? word : state === 'nack' ? t.refused : state}
    </Status>
  )
}
