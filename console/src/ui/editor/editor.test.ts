import { describe, expect, it } from 'vitest'
import { pathAt, type Schema, schemaAt } from './complete'
import { rangeOf } from './place'

const TEXT = `kind: HTTPRoute
metadata:
  name: a
spec:
  rules:
    - matches:
        - path:
            value: /x
      backendRefs:
        - name: orders
          port: 80
---
kind: Gateway
metadata:
  name: b
spec:
  listeners: []
`

const at = (text: string, range: { from: number; to: number }) => text.slice(range.from, range.to)

describe('the place of a finding', () => {
  it('is found by pointer', () => {
    expect(at(TEXT, rangeOf(TEXT, { pointer: '/spec/rules/0/backendRefs/0/port' }))).toBe('port: 80')
    // What is not there is shown at the nearest that is.
    expect(at(TEXT, rangeOf(TEXT, { pointer: '/spec/rules/0/timeouts/request' }))).toBe('matches:')
  })

  it('is found in the right one of many documents', () => {
    const object = { kind: 'Gateway', namespace: '', name: 'b' }
    expect(at(TEXT, rangeOf(TEXT, { object, pointer: '/spec/listeners' }))).toBe('listeners: []')
  })

  it('is the line and column where they are known', () => {
    expect(at(TEXT, rangeOf(TEXT, { line: 3, column: 3 }))).toBe('name: a')
    expect(rangeOf('a', { line: 9, column: 9 })).toEqual({ from: 1, to: 1 })
  })
})

describe('completion', () => {
  const lines = TEXT.split('\n')
  const row = (text: string) => lines.findIndex(line => line.includes(text))

  it('knows where a line stands', () => {
    expect(pathAt(lines, row('kind: HTTPRoute'))).toEqual([])
    expect(pathAt(lines, row('name: a'))).toEqual(['metadata'])
    expect(pathAt(lines, row('value: /x'))).toEqual(['spec', 'rules', '-', 'matches', '-', 'path'])
    expect(pathAt(lines, row('backendRefs:'))).toEqual(['spec', 'rules', '-'])
    expect(pathAt(lines, row('port: 80'))).toEqual(['spec', 'rules', '-', 'backendRefs', '-'])
    expect(pathAt(lines, row('name: orders'))).toEqual(['spec', 'rules', '-', 'backendRefs', '-'])
  })

  it('follows the schema', () => {
    const schema: Schema = {
      properties: {
        spec: { properties: { rules: { items: { properties: { name: { type: 'string' } } } } } },
      },
    }
    expect(schemaAt(schema, ['spec', 'rules', '-'])?.properties).toHaveProperty('name')
    expect(schemaAt(schema, ['spec', 'nothing'])).toBeUndefined()
  })
})
