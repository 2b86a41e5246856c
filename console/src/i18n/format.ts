import { useSyncExternalStore } from 'react'
import { type Language, useLanguage } from '.'

const UNITS: [number, string, string][] = [
  [86_400_000, 'd', ' 天'],
  [3_600_000, 'h', ' 小时'],
  [60_000, 'm', ' 分'],
  [1000, 's', ' 秒'],
]

/** `3m`, `2d`; below a second `0s`. */
export function duration(ms: number, language: Language): string {
  const found = UNITS.find(([size]) => ms >= size) ?? UNITS[3]
  if (!found) return ''
  const count = Math.max(0, Math.floor(ms / found[0]))
  return `${count}${language === 'zh-CN' ? found[2] : found[1]}`
}

/** `0.42 ms`, `12 ms`, `1.2 s` */
export function milliseconds(ms: number | null | undefined, language: Language): string {
  if (ms === null || ms === undefined) return '–'
  if (ms >= 1000) return `${number(ms / 1000, language, 1)} s`
  return `${number(ms, language, ms < 10 ? 1 : 0)} ms`
}

export function number(value: number, language: Language, digits = 0): string {
  return new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value)
}

/** 0.0123 → `1.2 %`; small parts are not rounded to nothing. */
export function percent(part: number | null | undefined, language: Language): string {
  if (part === null || part === undefined) return '–'
  if (part > 0 && part < 0.0005) return '< 0.1 %'
  return `${number(part * 100, language, part < 0.1 ? 1 : 0)} %`
}

export function rate(value: number | null | undefined, language: Language): string {
  if (value === null || value === undefined) return '–'
  return `${number(value, language, value < 10 ? 1 : 0)}/s`
}

export function dateTime(time: string | number, language: Language): string {
  return new Date(time).toLocaleString(language, { dateStyle: 'medium', timeStyle: 'medium' })
}

export function clock(time: string | number, language: Language): string {
  return new Date(time).toLocaleTimeString(language, { hour12: false })
}

export function useFormat() {
  const { language } = useLanguage()
  return {
    language,
    duration: (ms: number) => duration(ms, language),
    ms: (value?: number | null) => milliseconds(value, language),
    number: (value: number, digits?: number) => number(value, language, digits),
    percent: (part?: number | null) => percent(part, language),
    rate: (value?: number | null) => rate(value, language),
    dateTime: (time: string | number) => dateTime(time, language),
    clock: (time: string | number) => clock(time, language),
  }
}

// One clock for all ages on the screen.
let now = Date.now()
const ticks = new Set<() => void>()
let timer: ReturnType<typeof setInterval> | undefined

function subscribe(tick: () => void): () => void {
  ticks.add(tick)
  now = Date.now()
  timer ??= setInterval(() => {
    if (document.hidden) return
    now = Date.now()
    for (const each of ticks) each()
  }, 1000)
  return () => {
    ticks.delete(tick)
    if (ticks.size > 0) return
    clearInterval(timer)
    timer = undefined
  }
}

/** Re-renders only when the text differs. */
export function useAge(time: string | number): string {
  const { language } = useLanguage()
  const start = new Date(time).getTime()
  return useSyncExternalStore(subscribe, () => duration(now - start, language))
}

export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now)
}
