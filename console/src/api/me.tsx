// Who looks, and what they may do. Buttons follow it with the reason; the server checks again.

import { useQuery } from '@tanstack/react-query'
import { createContext, type ReactNode, useContext } from 'react'
import { useCommon } from '../i18n/common'
import { get } from './http'
import type { Me, Role, WriteMode } from './types'

const ORDER: Role[] = ['viewer', 'editor', 'operator', 'admin']

const MeContext = createContext<Me | undefined>(undefined)

export function useMeQuery() {
  return useQuery({ queryKey: ['me'], queryFn: () => get<Me>('/me'), staleTime: 300_000, retry: 1 })
}

export function MeProvider({ me, children }: { me: Me; children: ReactNode }) {
  return <MeContext.Provider value={me}>{children}</MeContext.Provider>
}

export function useMe(): Me {
  const me = useContext(MeContext)
  if (!me) throw new Error('useMe outside of MeProvider')
  return me
}

function covers(pattern: string, namespace: string | undefined): boolean {
  if (pattern === '*') return true
  if (namespace === undefined) return false
  return pattern.endsWith('*') ? namespace.startsWith(pattern.slice(0, -1)) : pattern === namespace
}

/** Without a namespace: what has none, and all at once. */
export function may(me: Me, role: Role, namespace?: string): boolean {
  const wanted = ORDER.indexOf(role)
  return me.roles.some(
    grant => ORDER.indexOf(grant.role) >= wanted && grant.namespaces.some(p => covers(p, namespace)),
  )
}

/** Whether documents of a namespace are written, proposed, or neither. */
export function writeMode(me: Me, namespace?: string): WriteMode {
  const own = namespace && me.writeModes?.find(each => covers(each.namespaces, namespace))
  return own ? own.mode : me.writeMode
}

/** `propose; infra-*: off` */
export function writeModes(me: Me): string {
  return [
    me.writeMode,
    ...(me.writeModes ?? []).map(({ namespaces, mode }) => `${namespaces}: ${mode}`),
  ].join('; ')
}

/** Whether there is no namespace of which documents could be written, or proposed. */
export function writesNowhere(me: Me): boolean {
  return [me.writeMode, ...(me.writeModes ?? []).map(({ mode }) => mode)].every(mode => mode === 'off')
}

/** Why not, in words; `undefined` where it is permitted. `write`: documents, which the write mode has a say in too. */
export function usePermission(role: Role, namespace?: string, write = false): string | undefined {
  const me = useMe()
  const t = useCommon()
  if (!may(me, role, namespace)) return t.lacksRole(role, namespace)
  if (write && writeMode(me, namespace) === 'off') return t.writesOff(me.owner ?? '')
  return undefined
}
