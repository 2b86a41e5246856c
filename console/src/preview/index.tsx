// Every write goes by a preview: `usePreview()` opens it for a write, and nothing is written before somebody says "apply".

import { createContext, lazy, type ReactNode, Suspense, useContext, useMemo, useState } from 'react'
import type { Query } from '../api/http'
import type { ChangeReport, Document } from '../api/types'

export interface Write {
  method: 'PUT' | 'POST' | 'DELETE'
  /** Below `/api/v1`. */
  path: string
  /** YAML as text, or an object. */
  body?: unknown
  query?: Query
  /** `if-match` or `if-none-match` of writes of one document. */
  headers?: Record<string, string>
}

export interface PreviewRequest {
  title: string
  write: Write
  /** The command that does the same. */
  cli: string
  /** What is removed for good: its name has to be typed. */
  confirm?: string
  /** The document that the edit began with, for the three-way view when somebody else was faster. */
  base?: Document
  done?: (report: ChangeReport) => void
}

const Context = createContext<((request: PreviewRequest) => void) | undefined>(undefined)
const PreviewDialog = lazy(() => import('./PreviewDialog'))

export function PreviewProvider({ children }: { children: ReactNode }) {
  const [request, setRequest] = useState<PreviewRequest>()
  const open = useMemo(() => (next: PreviewRequest) => setRequest(next), [])
  return (
    <Context.Provider value={open}>
      {children}
      {request && (
        <Suspense>
          <PreviewDialog request={request} close={() => setRequest(undefined)} />
        </Suspense>
      )}
    </Context.Provider>
  )
}

export function usePreview(): (request: PreviewRequest) => void {
  const open = useContext(Context)
  if (!open) throw new Error('usePreview outside of PreviewProvider')
  return open
}
