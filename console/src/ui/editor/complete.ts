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

/** What a line stands in, by indentation: `spec`, `rules`, `-`, `matches`. */
export function pathAt(lines: string[], row: number): string[] {
  let stack: { column: number; name: string }[] = []
  for (let index = 0; index <= row; index += 1) {
    const line = lines[index] ?? ''
    if (line.startsWith('---')) {
      stack = []
      continue
    }
    if (index < row && /^\s*(#|$)/.test(line)) continue
    let column = line.search(/\S|$/)
    while (/^-(\s|$)/.test(line.slice(column))) {
      // A dash may stand as deep as the name that it belongs to.
      stack = stack.filter(each => each.column < column || (each.column === column && each.name !== '-'))
      stack.push({ column, name: '-' })
      column += 1 + line.slice(column + 1).search(/\S|$/)
    }
    stack = stack.filter(each => each.column < column)
    const name = /^([\w.$/-]+):/.exec(line.slice(column))?.[1]
    if (name && index < row) stack.push({ column, name })
  }
  return stack.map(each => each.name)
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
