import { isMap, isPair, isSeq, LineCounter, parseAllDocuments } from 'yaml'

interface Place {
  line?: number
  column?: number
  pointer?: string
  object?: { kind: string; namespace: string; name: string }
}

/** Where in a text of YAML documents something is: by line and column where they are known, else by JSON pointer. */
export function rangeOf(text: string, place: Place): { from: number; to: number } {
  if (place.line) {
    const lines = text.split('\n')
    const before = lines.slice(0, place.line - 1).reduce((sum, line) => sum + line.length + 1, 0)
    const line = lines[place.line - 1] ?? ''
    const from = Math.min(text.length, before + Math.max(0, (place.column ?? 1) - 1))
    return { from, to: Math.min(text.length, Math.max(from, before + line.length)) }
  }
  const documents = parseAllDocuments(text, { lineCounter: new LineCounter(), keepSourceTokens: false })
  if (!Array.isArray(documents)) return { from: 0, to: 0 }
  const document =
    documents.find(each => {
      const { object } = place
      return object && each.get('kind') === object.kind && each.getIn(['metadata', 'name']) === object.name
    }) ?? documents[0]
  let node: unknown = document?.contents
  let range = rangeOfNode(node)
  for (const part of (place.pointer ?? '').split('/').slice(1)) {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~')
    if (isMap(node)) {
      const pair = node.items.find(item => isPair(item) && String(item.key) === name)
      if (!pair) break
      range = rangeOfNode(pair.key) ?? range
      node = pair.value
    } else if (isSeq(node)) {
      node = node.items[Number(name)]
      range = rangeOfNode(node) ?? range
    } else break
  }
  const from = Math.min(range?.from ?? 0, text.length)
  const end = text.indexOf('\n', from)
  return { from, to: Math.min(text.length, end < 0 ? text.length : end) }
}

function rangeOfNode(node: unknown): { from: number; to: number } | undefined {
  const range = (node as { range?: [number, number, number] } | undefined)?.range
  return range ? { from: range[0], to: range[1] } : undefined
}
