import { lazy, Suspense } from 'react'
import type { FindingView } from '../api/types'
import { Skeleton } from './states'

export interface CodeEditorProps {
  value: string
  onChange?: (text: string) => void
  readOnly?: boolean
  label: string
  /** The kind, whose schema completes field names. */
  kind?: string
  /** JSON pointer to show. */
  at?: string
  /** Asks the server what is wrong, and hears of it. */
  validate?: boolean
  onFindings?: (findings: FindingView[]) => void
  /** Set: the text before, for a side-by-side view of what differs. */
  original?: string
}

const Editor = lazy(() => import('./editor/Editor'))

/** YAML with the server's findings beside it. Loaded when it is first needed. */
export function CodeEditor(props: CodeEditorProps) {
  return (
    <Suspense fallback={<Skeleton rows={8} />}>
      <Editor {...props} />
    </Suspense>
  )
}
