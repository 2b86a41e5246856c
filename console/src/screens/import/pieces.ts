// A text of several documents, and which of them are in it. The text is the only truth: what somebody changed in one document
// stays when another is taken out.

import { parse } from 'yaml'
import type { Document } from '../../api/types'

export interface Piece {
  kind: string
  namespace: string
  name: string
  text: string
  /** Nothing where it does not read. */
  document?: Document
}

export function pieces(text: string): Piece[] {
  const texts = text.split(/^---[ \t]*\r?\n?/m).filter(each => each.trim())
  return texts.map(each => {
    const document = read(each)
    const { kind = '', metadata } = document ?? {}
    return { kind, namespace: metadata?.namespace ?? '', name: metadata?.name ?? '', text: each, document }
  })
}

function read(text: string): Document | undefined {
  try {
    const value = parse(text)
    return value && typeof value === 'object' && !Array.isArray(value) ? value : undefined
  } catch {
    return undefined
  }
}

export function same(a: Piece, b: Piece): boolean {
  return a.kind === b.kind && a.namespace === b.namespace && a.name === b.name
}

export function textOf(all: Piece[]): string {
  return all.map(({ text }) => (text.endsWith('\n') ? text : `${text}\n`)).join('---\n')
}

/** Without those of `some` that are in it, and with the others at their end. */
export function toggled(text: string, some: Piece[], take: boolean): string {
  const now = pieces(text)
  if (!take) return textOf(now.filter(each => !some.some(one => same(one, each))))
  return textOf([...now, ...some.filter(each => !now.some(one => same(one, each)))])
}

/** What somebody knows it by: hosts of a route or a listener, what a policy is for. */
export function about({ document }: Piece): string {
  const spec = document?.spec ?? {}
  const hosts: unknown[] =
    spec.hostnames ?? spec.listeners?.map((one: { hostname?: string }) => one.hostname) ?? []
  const targets: { kind?: string; name?: string }[] = spec.targetRefs ?? []
  const names = [...hosts, ...targets.map(({ kind, name }) => `${kind} ${name}`)].filter(Boolean)
  return [...new Set(names)].join(', ')
}
