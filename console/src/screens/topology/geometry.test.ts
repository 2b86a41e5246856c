import { expect, test } from 'vitest'
import type { TopologyEdge, TopologyNode } from '../../api/types'
import {
  curve,
  edgeClass,
  fitted,
  Grid,
  middle,
  nodeClass,
  step,
  toScreen,
  toWorld,
  WIDTH,
  zoom,
} from './geometry'

function node(id: string, x: number, y: number, more: Partial<TopologyNode> = {}): TopologyNode {
  return {
    id,
    kind: 'service',
    namespace: 'shop',
    name: id,
    sources: [],
    healthy: 1,
    endpoints: 1,
    members: 0,
    problems: 0,
    x,
    y,
    ...more,
  }
}

function edge(source: string, target: string, more: Partial<TopologyEdge> = {}): TopologyEdge {
  return {
    source,
    target,
    kind: 'observed',
    protocol: 'http',
    mtls: false,
    rate: 1,
    errors: 0,
    inProgress: 0,
    reportedBy: ['accessLog'],
    routes: [],
    lanes: [],
    ...more,
  }
}

test('the point under the pointer stays there', () => {
  const view = { scale: 0.7, x: 30, y: -10 }
  const at = { x: 200, y: 120 }
  const before = toWorld(view, at)
  const after = toWorld(zoom(view, at, 1.3), at)
  expect(after.x).toBeCloseTo(before.x)
  expect(after.y).toBeCloseTo(before.y)
  expect(toScreen(view, before).x).toBeCloseTo(at.x)
})

test('all is seen, and little is not blown up', () => {
  const view = fitted({ width: 4000, height: 1000 }, 1000, 600)
  expect(toScreen(view, { x: 0, y: 0 }).x).toBeGreaterThanOrEqual(0)
  expect(toScreen(view, { x: 4000, y: 1000 }).x).toBeLessThanOrEqual(1000)
  expect(fitted({ width: 200, height: 50 }, 1000, 600).scale).toBeLessThanOrEqual(1.15)
  expect(fitted({ width: 0, height: 0 }, 1000, 600).scale).toBeGreaterThan(0)
})

test('the grid finds what a look at all nodes finds', () => {
  const nodes = Array.from({ length: 400 }, (_, i) => node(`n${i}`, (i % 20) * 280, Math.floor(i / 20) * 76))
  const grid = new Grid(nodes)
  for (const each of nodes) {
    expect(grid.at({ x: each.x + WIDTH / 2 - 1, y: each.y - 20 })?.id).toBe(each.id)
  }
  expect(grid.at({ x: 140, y: 0 })).toBeUndefined()
  expect(grid.at({ x: -5000, y: 9 })).toBeUndefined()
})

test('a curve begins and ends at the sides of boxes', () => {
  const ahead = curve({ x: 0, y: 0 }, { x: 400, y: 100 })
  expect(ahead.from).toEqual({ x: WIDTH / 2, y: 0 })
  expect(middle(ahead).x).toBeCloseTo(200)
  const above = curve({ x: 0, y: 200 }, { x: 10, y: 0 })
  expect(above.from.y).toBeLessThan(200)
  expect(above.to.y).toBeGreaterThan(0)
})

test('classes of edges and nodes', () => {
  expect(edgeClass(edge('a', 'b', { errors: 0.2 }))).toBe('bad')
  expect(edgeClass(edge('a', 'b', { errors: 0.01 }))).toBe('warn')
  expect(edgeClass(edge('a', 'b'))).toBe('good')
  expect(edgeClass(edge('a', 'b', { kind: 'configured', errors: 1 }))).toBe('idle')
  expect(nodeClass(node('a', 0, 0, { healthy: 0, endpoints: 3 }))).toBe('bad')
  expect(nodeClass(node('a', 0, 0, { healthy: 2, endpoints: 3 }))).toBe('warn')
  expect(nodeClass(node('a', 0, 0, { healthy: 0, endpoints: 0 }))).toBe('idle')
})

test('arrows walk to neighbours first', () => {
  const nodes = [node('a', 0, 0), node('b', 280, 0), node('c', 280, 76), node('d', -280, 0)]
  const edges = [edge('a', 'c')]
  const [a] = nodes as [TopologyNode]
  expect(step(nodes, edges, a, 'ArrowRight')?.id).toBe('c')
  expect(step(nodes, [], a, 'ArrowRight')?.id).toBe('b')
  expect(step(nodes, edges, a, 'ArrowLeft')?.id).toBe('d')
  expect(step(nodes, edges, a, 'ArrowUp')).toBeUndefined()
})
