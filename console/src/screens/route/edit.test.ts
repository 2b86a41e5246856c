import { describe, expect, it } from 'vitest'
import { addIn, moveUp, read, removeIn, setIn } from './edit'

const ROUTE = `# The shop.
kind: HTTPRoute
spec:
  hostnames: [shop.example.com]
  rules:
    - matches:
        - path: {type: PathPrefix, value: /orders} # the old API
      backendRefs:
        - {name: orders, port: 80, weight: 90}
      someday: 1
    - backendRefs: []
`

describe('the form', () => {
  it('changes one place and keeps comments and unknown fields', () => {
    const text = setIn(ROUTE, ['spec', 'rules', 0, 'backendRefs', 0, 'weight'], 70)
    expect(text).toContain('# The shop.')
    expect(text).toContain('# the old API')
    expect(text).toContain('someday: 1')
    expect(text).toContain('weight: 70')
    expect(read<{ spec: { rules: unknown[] } }>(text)?.spec.rules).toHaveLength(2)
  })

  it('makes what is missing on the way, and takes out what is empty', () => {
    const added = addIn(ROUTE, ['spec', 'rules', 0, 'matches', 0, 'headers'], {
      name: 'x-lane',
      value: 'gray',
    })
    expect(read<any>(added).spec.rules[0].matches[0].headers).toEqual([{ name: 'x-lane', value: 'gray' }])
    const removed = removeIn(added, ['spec', 'rules', 0, 'matches', 0, 'headers', 0])
    expect(read<any>(removed).spec.rules[0].matches[0].headers).toBeUndefined()
    expect(read<any>(setIn(ROUTE, ['spec', 'hostnames'], undefined)).spec.hostnames).toBeUndefined()
  })

  it('moves rules', () => {
    expect(read<any>(moveUp(ROUTE, ['spec', 'rules'], 1)).spec.rules[1].someday).toBe(1)
  })

  it('says when there is nothing to read', () => {
    expect(read('a: [')).toBeUndefined()
    expect(read('')).toBeUndefined()
  })
})
