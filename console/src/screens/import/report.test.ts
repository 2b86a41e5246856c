import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { inChinese, ZH } from './report'

const IMPORT = join(import.meta.dirname, '../../../../src/import')

/** Code → English words, as the importers say them. */
function codes(): Map<string, string> {
  const files = readdirSync(IMPORT, { recursive: true, encoding: 'utf8' }).filter(
    name => name.endsWith('.rs') && !name.startsWith('tests'),
  )
  const all = new Map<string, string>()
  const add = (code = '', words = '') => {
    expect(all.get(code) ?? words, code).toBe(words)
    all.set(code, words)
  }
  for (const file of files) {
    const text = readFileSync(join(IMPORT, file), 'utf8')
    for (const [, code, words] of text.matchAll(/say!\(\s*"(\w+)",\s*"((?:[^"\\]|\\.)*)"/g)) add(code, words)
    // Fields and annotations that are refused: name, code, why.
    for (const [, code, words] of text.matchAll(/\(\s*"[\w-]+",\s*"(\w+)",\s*"([^"]* [^"]*)",?\s*\)/g)) {
      add(code, words)
    }
    for (const [, code] of text.matchAll(/\("\w+", "(\w+)", why\)/g)) {
      const why = /let why =\s*"([^"]*)"/.exec(text)?.[1]
      add(code, why)
    }
  }
  return all
}

test('the report of an import is said in Chinese, line by line, and nothing else is', () => {
  const english = codes()
  expect(english.size).toBeGreaterThan(100)
  expect(Object.keys(ZH).sort()).toEqual([...english.keys()].sort())
})

test('what lines are about is in both languages', () => {
  for (const [code, words] of codes()) {
    const filled = [...words.matchAll(/\{\}/g)].length
    const places = new Set([...(ZH[code] ?? '').matchAll(/\{(\d)\}/g)].map(([, place]) => Number(place)))
    expect([...places].sort(), code).toEqual(Array.from({ length: filled }, (_, place) => place))
  }
})

test('a line of another version stays as it is', () => {
  expect(inChinese({ code: 'includeMissing', args: ['shop', 'a'], text: '' })).toBe(
    '此处没有 HTTPProxy shop/a',
  )
  expect(inChinese({ code: 'fromTomorrow', text: 'words' })).toBeUndefined()
  expect(inChinese({ text: 'words' })).toBeUndefined()
})
