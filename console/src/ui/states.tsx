// Loading, empty, failed.

import { IconDatabaseOff, IconFilterOff, IconLock, IconPlugX, IconRefresh } from '@tabler/icons-react'
import { type ReactNode, useEffect, useState } from 'react'
import { ApiError } from '../api/http'
import type { ProblemJson } from '../api/types'
import { useTexts } from '../i18n'
import { useCommon } from '../i18n/common'
import { PROBLEMS } from '../i18n/problems'
import { Act, CopyButton, Facts } from './basics'
import { FindingList } from './findings'
import { ToneIcon } from './Status'

/** Nothing for 200 ms: most answers are there by then, and a flash is worse than a moment of nothing. */
export function Skeleton({ rows = 5 }: { rows?: number }) {
  const [shown, setShown] = useState(false)
  const t = useCommon()
  useEffect(() => {
    const timer = setTimeout(() => setShown(true), 200)
    return () => clearTimeout(timer)
  }, [])
  if (!shown) return <div style={{ minHeight: 34 * rows }} />
  return (
    <div role="status" style={{ padding: 14, minHeight: 34 * rows }}>
      <span className="visually-hidden">{t.loading}</span>
      {Array.from({ length: rows }, (_, index) => (
        <div
          key={index}
          className="bone"
          style={{ width: `${90 - ((index * 17) % 45)}%`, marginBottom: 20 }}
        />
      ))}
    </div>
  )
}

export type Emptiness = 'nothing' | 'filter' | 'right' | 'syncing' | 'failed'

export function Empty(props: {
  why: Emptiness
  /** The source, of `syncing` and `failed`. */
  source?: string
  text?: ReactNode
  action?: ReactNode
}) {
  const { why, source = '', text, action } = props
  const t = useCommon()
  const title = {
    nothing: t.emptyNothing,
    filter: t.emptyFilter,
    right: t.emptyRight,
    syncing: t.emptySyncing(source),
    failed: t.emptyFailed(source),
  }[why]
  const Icon = {
    nothing: IconDatabaseOff,
    filter: IconFilterOff,
    right: IconLock,
    syncing: IconRefresh,
    failed: IconPlugX,
  }[why]
  return (
    <div className="empty">
      <Icon size={30} stroke={1.4} aria-hidden />
      <h3>{title}</h3>
      {(text || why === 'right') && <p>{why === 'right' ? t.emptyRightText : text}</p>}
      {action}
    </div>
  )
}

export function problemOf(error: unknown): ProblemJson {
  if (error instanceof ApiError) return error.problem
  return {
    type: '',
    title: '',
    status: 0,
    detail: String(error),
    instance: '',
    code: '',
    hint: '',
    retryable: false,
  }
}

export function useProblemTitle(): (problem: ProblemJson) => string {
  const titles = useTexts(PROBLEMS)
  return problem => titles[problem.code as keyof typeof titles] ?? (problem.title || titles.other)
}

/** A problem of the API with all that somebody needs to act on it, or to ask for help. */
export function ErrorCard({ error, retry }: { error: unknown; retry?: () => void }) {
  const t = useCommon()
  const titleOf = useProblemTitle()
  const problem = problemOf(error)
  const support = `${problem.code} ${problem.title}\n${problem.detail}\nrequest ${problem.instance}\n${location.href}\n${new Date().toISOString()}`
  return (
    <div className="notice tone-bad" role="alert">
      <ToneIcon tone="bad" size={18} />
      <div className="stack tight">
        <strong>{titleOf(problem)}</strong>
        {problem.detail && <span lang="en">{problem.detail}</span>}
        {problem.hint && (
          <span lang="en" className="dim">
            {problem.hint}
          </span>
        )}
        {problem.errors && problem.errors.length > 0 && <FindingList findings={problem.errors} />}
        <Facts
          of={[
            [
              t.state,
              problem.code.startsWith('ISM') ? (
                <a className="link mono" href={`/errors/${problem.code}`} target="_blank" rel="noreferrer">
                  {problem.code}
                </a>
              ) : (
                problem.code && <span className="mono">{problem.code}</span>
              ),
            ],
            [t.requestId, problem.instance && <span className="mono">{problem.instance}</span>],
          ]}
        />
        <div className="row wrap">
          {retry && problem.retryable && <Act onClick={retry}>{t.retry}</Act>}
          <CopyButton text={support} label={t.copySupport} />
        </div>
      </div>
    </div>
  )
}

/** Shows what a query has, or why not. */
export function Loaded<T>(props: {
  query: { data: T | undefined; error: unknown; refetch: () => unknown }
  rows?: number
  children: (data: T) => ReactNode
}) {
  const { query, rows, children } = props
  if (query.data !== undefined) {
    return (
      <>
        {query.error ? <ErrorCard error={query.error} retry={() => void query.refetch()} /> : null}
        {children(query.data)}
      </>
    )
  }
  if (query.error) return <ErrorCard error={query.error} retry={() => void query.refetch()} />
  return <Skeleton rows={rows} />
}
