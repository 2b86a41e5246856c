/** Puts what `mine` changed of `base` on top of `theirs`. Where both changed the same value, mine counts. */
export function merge(base: unknown, theirs: unknown, mine: unknown): unknown {
  if (same(base, mine)) return theirs
  if (same(base, theirs)) return mine
  if (isMap(base) && isMap(theirs) && isMap(mine)) {
    const names = new Set([...Object.keys(theirs), ...Object.keys(mine)])
    const merged = [...names].map(name => [name, merge(base[name], theirs[name], mine[name])] as const)
    return Object.fromEntries(merged.filter(([, value]) => value !== undefined))
  }
  // Items of lists have no names: only lists of one length can be told apart item by item.
  if (Array.isArray(base) && Array.isArray(theirs) && Array.isArray(mine)) {
    if (base.length === theirs.length && base.length === mine.length) {
      return base.map((item, index) => merge(item, theirs[index], mine[index]))
    }
  }
  return mine
}

function isMap(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}

function same(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((item, index) => same(item, b[index]))
  if (!isMap(a) || !isMap(b)) return false
  const names = new Set([...Object.keys(a), ...Object.keys(b)])
  return [...names].every(name => same(a[name], b[name]))
}
