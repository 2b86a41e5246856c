import type { Time } from '../api/types'
import { useCommon } from '../i18n/common'
import { useAge, useFormat } from '../i18n/format'

/** `3m`, with the exact moment as a title. */
export function Age({ at, ago }: { at: Time | number | undefined | null; ago?: boolean }) {
  const t = useCommon()
  if (!at) return <span className="dim">–</span>
  return <Known at={at} wrap={ago ? t.ago : undefined} />
}

function Known({ at, wrap }: { at: Time | number; wrap?: (age: string) => string }) {
  const age = useAge(at)
  const { dateTime } = useFormat()
  return (
    <time className="nowrap num" dateTime={new Date(at).toISOString()} title={dateTime(at)}>
      {wrap ? wrap(age) : age}
    </time>
  )
}
