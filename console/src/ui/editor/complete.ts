// Field names and enumerated values from the kind's JSON schema, which the server publishes.

import type {
  Completion,
  CompletionContext,
  CompletionResult,
  CompletionSource,
} from '@codemirror/autocomplete'
import { get } from '../../api/http'

export interface Schema {
  type?: string
  description?: string
  properties?: Record<string, Schema>
  items?: Schema
  additionalProperties?: Schema | boolean
  enum?: unknown[]
  required?: string[]
}

const schemas = new Map<string, Promise<Schema | undefined>>()

function load(kind: string): Promise<Schema | undefined> {
  let known = schemas.get(kind)
  if (!known) {
    known = get<Schema>(`/schemas/${kind}`).catch(() => undefined)
    schemas.set(kind, known)
  }
  return known
}

/** The names above a line by their indentation: `spec`, `rules`, `-`, `matches`. */
export function pathAt(lines: string[], row: number): string[] {
  const path: string[] = []
  const current = lines[row] ?? ''
  let indent = current.search(/\S|$/)
  if (/^\s*-\s/.test(current)) {
    path.unshift('-')
    // The dash may stand as deep as the name that it belongs to.
    indent += 1
  }
  for (let index = row - 1; index >= 0 && indent > 0; index -= 1) {
    const line = lines[index] ?? ''
    if (!line.trim() || line.trim().startsWith('#')) continue
    if (line.startsWith('---')) break
    const depth = line.search(/\S/)
    const dash = /^(\s*(?:-\s+)+)(.*)$/.exec(line)
    const inner = dash ? (dash[1]?.length ?? 0) : depth
    if (dash && inner < indent + (path[0] === '-' ? 0 : 1) && depth < indent && path[0] !== '-') {
      const name = /^([\w.$/-]+):/.exec(dash[2] ?? '')
      if (inner < indent && name?.[1]) path.unshift(name[1])
      path.unshift('-')
      indent = depth + 1
      continue
    }
    if (depth >= indent) continue
    const name = /^\s*([\w.$/-]+):/.exec(line)
    if (name?.[1]) path.unshift(name[1])
    indent = depth
  }
  return path
}

export function schemaAt(schema: Schema | undefined, path: readonly string[]): Schema | undefined {
  let here = schema
  for (const part of path) {
    if (!here) return undefined
    if (part === '-') here = here.items
    else if (here.properties?.[part]) here = here.properties[part]
    else if (typeof here.additionalProperties === 'object') here = here.additionalProperties
    else return undefined
  }
  return here
}

export function schemaCompletion(kind: string): CompletionSource {
  return async (context: CompletionContext): Promise<CompletionResult | null> => {
    const schema = await load(kind)
    if (!schema) return null
    const { doc } = context.state
    const line = doc.lineAt(context.pos)
    const lines = doc.toString().split('\n')
    const typed = line.text.slice(0, context.pos - line.from)
    const path = pathAt(lines, line.number - 1)
    const value = /^\s*(?:-\s+)*([\w.$/-]+):\s+(\S*)$/.exec(typed)
    if (value) {
      const field = schemaAt(schema, [...path, value[1] ?? ''])
      const choices = field?.enum ?? (field?.type === 'boolean' ? [true, false] : [])
      if (choices.length === 0) return null
      return {
        from: context.pos - (value[2]?.length ?? 0),
        options: choices.map(each => ({ label: String(each), type: 'enum' })),
      }
    }
    const word = /([\w.$/-]*)$/.exec(typed)?.[1] ?? ''
    if (!context.explicit && !word) return null
    const properties = schemaAt(schema, path)?.properties
    if (!properties) return null
    const options: Completion[] = Object.entries(properties).map(([name, field]) => ({
      label: name,
      type: 'property',
      detail: field.type,
      info: field.description,
      apply: field.type === 'object' || field.type === 'array' ? `${name}:\n` : `${name}: `,
    }))
    return { from: context.pos - word.length, options, validFor: /^[\w.$/-]*$/ }
  }
}
