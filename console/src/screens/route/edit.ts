// The form changes single places of the YAML text, so that comments, order and unknown fields stay.

import { parseDocument } from 'yaml'

export type Path = (string | number)[]

/** Sets, or with `undefined` takes out, one value. Lists and maps on the way are made; emptied ones stay out. */
export function setIn(text: string, path: Path, value: unknown): string {
  const document = parseDocument(text)
  if (value === undefined) {
    if (document.hasIn(path)) document.deleteIn(path)
  } else document.setIn(path, document.createNode(value))
  return document.toString({ lineWidth: 0 })
}

export function addIn(text: string, path: Path, value: unknown): string {
  const document = parseDocument(text)
  const list = document.getIn(path)
  if (list === undefined || list === null) document.setIn(path, document.createNode([value]))
  else document.addIn(path, document.createNode(value))
  return document.toString({ lineWidth: 0 })
}

/** Takes an item out of a list, and the list with its last one. */
export function removeIn(text: string, path: Path): string {
  const document = parseDocument(text)
  document.deleteIn(path)
  const list = document.getIn(path.slice(0, -1)) as { items?: unknown[] } | undefined
  if (list?.items?.length === 0) document.deleteIn(path.slice(0, -1))
  return document.toString({ lineWidth: 0 })
}

export function moveUp(text: string, list: Path, index: number): string {
  const document = parseDocument(text)
  const items = (document.getIn(list) as { items?: unknown[] } | undefined)?.items
  if (!items || index < 1) return text
  const [moved] = items.splice(index, 1)
  items.splice(index - 1, 0, moved)
  return document.toString({ lineWidth: 0 })
}

/** What the text says, or `undefined` while it is not YAML. */
export function read<T>(text: string): T | undefined {
  const document = parseDocument(text)
  if (document.errors.length > 0) return undefined
  const value = document.toJS()
  return value && typeof value === 'object' ? (value as T) : undefined
}
