import { expect, test } from 'vitest'
import { about, pieces, toggled } from './pieces'

const ROUTE = 'kind: HTTPRoute\nmetadata: {name: a, namespace: shop}\nspec: {hostnames: [a.test]}\n'
const POLICY =
  'kind: AccessPolicy\nmetadata: {name: a, namespace: shop}\nspec: {targetRefs: [{kind: HTTPRoute, name: a}]}\n'
const BOTH = `${ROUTE}---\n${POLICY}`

test('documents are told by kind and name, and what they are for', () => {
  const made = pieces(BOTH)
  expect(made.map(({ kind, namespace, name }) => `${kind} ${namespace}/${name}`)).toEqual([
    'HTTPRoute shop/a',
    'AccessPolicy shop/a',
  ])
  expect(made.map(about)).toEqual(['a.test', 'HTTPRoute a'])
})

test('one is taken out and put back; what was changed in another stays', () => {
  const [route, policy] = pieces(BOTH)
  const edited = BOTH.replace('name: a}]', 'name: b}]')
  const without = toggled(edited, route ? [route] : [], false)
  expect(without).toBe(POLICY.replace('name: a}]', 'name: b}]'))
  expect(toggled(without, route && policy ? [route, policy] : [], true)).toBe(`${without}---\n${ROUTE}`)
})

test('what does not read yet is kept as it is', () => {
  const [policy] = pieces(POLICY)
  expect(toggled(`kind: [\n---\n${POLICY}`, policy ? [policy] : [], false)).toBe('kind: [\n')
  expect(pieces('- 1\n---\n\n')).toHaveLength(1)
})
