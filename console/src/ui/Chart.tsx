import { lazy, Suspense } from 'react'
import { Skeleton } from './states'

export interface Line {
  label: string
  values: (number | null)[]
  tone: 'good' | 'warn' | 'bad' | 'note' | 'idle' | 'focus'
}

export interface Mark {
  /** Seconds since 1970. */
  at: number
  label: string
}

export interface ChartProps {
  label: string
  /** Seconds since 1970. */
  times: number[]
  lines: Line[]
  unit: 'rate' | 'ms' | 'count'
  height?: number
  /** Pushes and rollbacks. */
  marks?: Mark[]
  /** Charts with the same name have one cursor. */
  sync?: string
}

const Plot = lazy(() => import('./chart/Plot'))

/** Lines over time; a gap is "nothing reported", never 0. A table of the same numbers is one press away. */
export function Chart(props: ChartProps) {
  return (
    <Suspense fallback={<Skeleton rows={4} />}>
      <Plot {...props} />
    </Suspense>
  )
}

/** A small line without axes; the number stands beside it. */
export function Sparkline({ values, height = 26 }: { values: (number | null)[]; height?: number }) {
  const known = values.filter((value): value is number => value !== null)
  const max = Math.max(...known, 0) || 1
  const step = 100 / Math.max(1, values.length - 1)
  let path = ''
  let pen = false
  values.forEach((value, index) => {
    if (value === null) {
      pen = false
      return
    }
    path += `${pen ? 'L' : 'M'}${(index * step).toFixed(2)} ${(height - 2 - (value / max) * (height - 4)).toFixed(2)}`
    pen = true
  })
  return (
    <svg
      className="spark"
      viewBox={`0 0 100 ${height}`}
      height={height}
      preserveAspectRatio="none"
      aria-hidden
    >
      <path d={path} fill="none" stroke="var(--focus)" strokeWidth="1.5" vectorEffect="non-scaling-stroke" />
    </svg>
  )
}
