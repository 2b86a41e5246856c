import { expect, test } from 'vitest'
import type { Document } from '../../api/types'
import {
  addresses,
  blueGreen,
  blueGreenRule,
  grant,
  parts,
  route,
  withBackend,
  withMirror,
  withoutMirror,
  withWeights,
  yamlOf,
} from './documents'

const orders = { kind: 'Service', namespace: 'shop', name: 'orders', port: 80 } as const
const fresh = { kind: 'MeshService', namespace: 'legacy', name: 'orders-v2', port: 80 } as const

function published(): Document {
  return route({
    namespace: 'shop',
    name: 'orders',
    gateway: { namespace: 'demo', name: 'edge' },
    hosts: ['shop.test'],
    path: '/orders',
    match: 'PathPrefix',
    backend: orders,
  })
}

test('a route of one namespace under the gateway of another', () => {
  expect(yamlOf([published()])).toBe(`apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: orders
  namespace: shop
spec:
  parentRefs:
    - name: edge
      namespace: demo
  hostnames:
    - shop.test
  rules:
    - matches:
        - path:
            type: PathPrefix
            value: /orders
      backendRefs:
        - name: orders
          port: 80
`)
})

test('a service of another namespace needs a grant there', () => {
  expect(grant('shop', orders)).toBeUndefined()
  expect(grant('shop', fresh)?.metadata.namespace).toBe('legacy')
  expect(grant('shop', fresh)?.spec.to).toEqual([
    { group: 'isthmus.dev', kind: 'MeshService', name: 'orders-v2' },
  ])
})

test('a second back end gets copies first, and no traffic', () => {
  const document = withBackend(published(), 0, fresh, true)
  const rule = document.spec.rules[0]
  expect(rule.backendRefs.map((ref: { weight: number }) => ref.weight)).toEqual([1000, 0])
  expect(rule.filters).toHaveLength(1)
  expect(withMirror(document, 0, fresh).spec.rules[0].filters).toHaveLength(1)
  expect(withoutMirror(document, 0).spec.rules[0].filters).toBeUndefined()
  expect(withBackend(document, 0, fresh, false).spec.rules[0].backendRefs).toHaveLength(2)
  expect(
    withBackend(withWeights(document, 0, [900, 100]), 0, fresh, false).spec.rules[0].backendRefs[1].weight,
  ).toBe(100)
})

test('weights are parts of a thousand, and the document that was read stays', () => {
  const before = withBackend(published(), 0, fresh, false)
  const after = withWeights(before, 0, [999, 1])
  expect(parts(after.spec.rules[0].backendRefs)).toEqual([0.999, 0.001])
  expect(parts(before.spec.rules[0].backendRefs)).toEqual([1, 0])
  expect(parts([])).toEqual([])
  expect(parts([{}, {}])).toEqual([0.5, 0.5])
})

test('blue-green is marked where it is', () => {
  const document = blueGreen({
    namespace: 'shop',
    name: 'shop',
    gateway: { namespace: 'shop', name: 'edge' },
    hosts: [],
    path: '/',
    blue: orders,
    green: fresh,
  })
  expect(blueGreenRule(document)).toBe(0)
  expect(parts(document.spec.rules[0].backendRefs)).toEqual([1, 0])
  expect(blueGreenRule(published())).toBeUndefined()
})

test('addresses, good and bad', () => {
  expect(addresses('10.0.0.1:80, [::1]:8080\nshop.test:443')).toEqual({
    good: [
      { address: '10.0.0.1', port: 80 },
      { address: '::1', port: 8080 },
      { address: 'shop.test', port: 443 },
    ],
    bad: [],
  })
  expect(addresses('10.0.0.1 http://x:80 a:0 b:70000').bad).toEqual([
    '10.0.0.1',
    'http://x:80',
    'a:0',
    'b:70000',
  ])
})
