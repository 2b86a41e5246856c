// Where things are on the canvas. Pure, so that a test can tell.

import type { TopologyEdge, TopologyNode } from '../../api/types'

export const WIDTH = 168
export const HEIGHT = 42
/** Below this scale a text is a smear: boxes only. */
export const TEXT_FROM = 0.35
export const SMALLEST = 0.08
export const LARGEST = 2.5

export interface View {
  scale: number
  x: number
  y: number
}

export interface Point {
  x: number
  y: number
}

export function toScreen(view: View, at: Point): Point {
  return { x: at.x * view.scale + view.x, y: at.y * view.scale + view.y }
}

export function toWorld(view: View, at: Point): Point {
  return { x: (at.x - view.x) / view.scale, y: (at.y - view.y) / view.scale }
}

/** The same point stays under the pointer. */
export function zoom(view: View, at: Point, factor: number): View {
  const scale = Math.min(LARGEST, Math.max(SMALLEST, view.scale * factor))
  const by = scale / view.scale
  return { scale, x: at.x - (at.x - view.x) * by, y: at.y - (at.y - view.y) * by }
}

/** All of the drawing, in the middle; small graphs are not blown up. */
export function fit(drawing: { width: number; height: number }, width: number, height: number): View {
  const margin = 24
  const scale = Math.min(
    1.15,
    Math.max(
      SMALLEST,
      Math.min((width - 2 * margin) / (drawing.width || 1), (height - 2 * margin) / (drawing.height || 1)),
    ),
  )
  return { scale, x: (width - drawing.width * scale) / 2, y: (height - drawing.height * scale) / 2 }
}

const CELL = 240

/** Finds the node at a point without asking all of them. */
export class Grid {
  private readonly cells = new Map<string, TopologyNode[]>()

  constructor(nodes: readonly TopologyNode[]) {
    for (const node of nodes) {
      for (const key of this.keys(node)) {
        const cell = this.cells.get(key)
        if (cell) cell.push(node)
        else this.cells.set(key, [node])
      }
    }
  }

  private keys({ x, y }: Point): string[] {
    const [left, right] = [x - WIDTH / 2, x + WIDTH / 2].map(each => Math.floor(each / CELL))
    const [top, bottom] = [y - HEIGHT / 2, y + HEIGHT / 2].map(each => Math.floor(each / CELL))
    const keys = [`${left},${top}`, `${right},${top}`, `${left},${bottom}`, `${right},${bottom}`]
    return [...new Set(keys)]
  }

  at(point: Point): TopologyNode | undefined {
    const cell = this.cells.get(`${Math.floor(point.x / CELL)},${Math.floor(point.y / CELL)}`)
    return cell?.find(
      node => Math.abs(node.x - point.x) <= WIDTH / 2 && Math.abs(node.y - point.y) <= HEIGHT / 2,
    )
  }
}

export interface Curve {
  from: Point
  to: Point
  /** Of a Bézier curve. */
  bend: [Point, Point]
}

/** From side to side where the target is ahead; around the boxes where it is behind or above. */
export function curve(source: Point, target: Point): Curve {
  if (target.x - source.x >= WIDTH) {
    const from = { x: source.x + WIDTH / 2, y: source.y }
    const to = { x: target.x - WIDTH / 2, y: target.y }
    const reach = Math.max(24, (to.x - from.x) / 2)
    return {
      from,
      to,
      bend: [
        { x: from.x + reach, y: from.y },
        { x: to.x - reach, y: to.y },
      ],
    }
  }
  const down = target.y >= source.y ? 1 : -1
  const from = { x: source.x, y: source.y + (down * HEIGHT) / 2 }
  const to = { x: target.x, y: target.y - (down * HEIGHT) / 2 }
  const reach = Math.max(30, Math.abs(to.y - from.y) / 2) * down
  return {
    from,
    to,
    bend: [
      { x: from.x, y: from.y + reach },
      { x: to.x, y: to.y - reach },
    ],
  }
}

/** The middle of a curve, where its label stands. */
export function middle({ from, to, bend: [a, b] }: Curve): Point {
  return { x: (from.x + 3 * a.x + 3 * b.x + to.x) / 8, y: (from.y + 3 * a.y + 3 * b.y + to.y) / 8 }
}

/** Wider for more requests, by orders of magnitude. */
export function lineWidth(edge: TopologyEdge): number {
  if (edge.kind !== 'observed' || edge.rate <= 0) return 1.2
  return Math.min(6, 1.5 + Math.log10(1 + edge.rate))
}

export type EdgeClass = 'good' | 'warn' | 'bad' | 'idle'

/** Of its failures; edges that nothing went over are idle. */
export function edgeClass(edge: TopologyEdge): EdgeClass {
  if (edge.kind !== 'observed' || edge.rate <= 0) return 'idle'
  if (edge.errors >= 0.05) return 'bad'
  return edge.errors >= 0.005 ? 'warn' : 'good'
}

export function nodeClass(node: TopologyNode): EdgeClass {
  if (node.problems > 0 || (node.endpoints > 0 && node.healthy === 0)) return 'bad'
  if (node.healthy < node.endpoints) return 'warn'
  return node.endpoints > 0 ? 'good' : 'idle'
}

/** The nearest node in the direction of an arrow key, neighbours by an edge first. */
export function step(
  nodes: readonly TopologyNode[],
  edges: readonly TopologyEdge[],
  from: TopologyNode,
  key: 'ArrowLeft' | 'ArrowRight' | 'ArrowUp' | 'ArrowDown',
): TopologyNode | undefined {
  const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key] as [
    number,
    number,
  ]
  const near = new Set(
    edges.flatMap(edge =>
      edge.source === from.id ? [edge.target] : edge.target === from.id ? [edge.source] : [],
    ),
  )
  let best: { node: TopologyNode; cost: number } | undefined
  for (const node of nodes) {
    const [x, y] = [node.x - from.x, node.y - from.y]
    const ahead = x * dx + y * dy
    if (node === from || ahead <= 1) continue
    const aside = Math.abs(x * dy) + Math.abs(y * dx)
    const cost = (ahead + 2 * aside) * (near.has(node.id) ? 0.5 : 1)
    if (!best || cost < best.cost) best = { node, cost }
  }
  return best?.node
}

/** As many letters as fit. */
export function cut(text: string, letters: number): string {
  return text.length <= letters ? text : `${text.slice(0, letters - 1)}…`
}
