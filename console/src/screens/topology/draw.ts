// One picture of a topology. Called only when something changed.

import type { Topology, TopologyNode } from '../../api/types'
import {
  curve,
  cut,
  type EdgeClass,
  edgeClass,
  HEIGHT,
  lineWidth,
  middle,
  nodeClass,
  TEXT_FROM,
  toWorld,
  type View,
  WIDTH,
} from './geometry'

export interface Colours {
  surface: string
  line: string
  text: string
  dim: string
  focus: string
  good: string
  warn: string
  bad: string
  idle: string
}

export function coloursOf(element: Element): Colours {
  const style = getComputedStyle(element)
  const colour = (name: string) => style.getPropertyValue(`--${name}`).trim()
  return {
    surface: colour('surface'),
    line: colour('line-strong'),
    text: colour('text'),
    dim: colour('dim'),
    focus: colour('focus'),
    good: colour('good'),
    warn: colour('warn'),
    bad: colour('bad'),
    idle: colour('idle'),
  }
}

/** Colour is never alone: failing edges are dashed as well, and say how much. */
const DASHES: Record<string, number[]> = { observed: [], declared: [9, 6], configured: [2, 5] }
const FAILING: Partial<Record<EdgeClass, number[]>> = { warn: [16, 4], bad: [16, 4, 4, 4] }

export interface Picture {
  topology: Topology
  view: View
  width: number
  height: number
  colours: Colours
  focused?: string
  matches?: (node: TopologyNode) => boolean
  labels: Labels
}

export interface Labels {
  rate: (rate: number) => string
  percent: (part: number) => string
  members: (count: number) => string
  outside: string
}

export function draw(context: CanvasRenderingContext2D, picture: Picture): void {
  const { topology, view, width, height, colours, focused, matches, labels } = picture
  const density = window.devicePixelRatio || 1
  context.setTransform(density, 0, 0, density, 0, 0)
  context.clearRect(0, 0, width, height)
  context.translate(view.x, view.y)
  context.scale(view.scale, view.scale)
  const [from, to] = [toWorld(view, { x: 0, y: 0 }), toWorld(view, { x: width, y: height })]
  const texts = view.scale >= TEXT_FROM
  const at = new Map(topology.nodes.map(node => [node.id, node]))
  const faded = (id: string) => {
    const node = at.get(id)
    return matches && node ? !matches(node) : false
  }

  context.lineJoin = 'round'
  context.font = '11px system-ui, sans-serif'
  context.textBaseline = 'middle'
  for (const edge of topology.edges) {
    const [source, target] = [at.get(edge.source), at.get(edge.target)]
    if (!source || !target) continue
    if (Math.max(source.x, target.x) + WIDTH < from.x || Math.min(source.x, target.x) - WIDTH > to.x) continue
    if (Math.max(source.y, target.y) + 200 < from.y || Math.min(source.y, target.y) - 200 > to.y) continue
    const state = edgeClass(edge)
    const touched = focused !== undefined && (edge.source === focused || edge.target === focused)
    const line = curve(source, target)
    context.globalAlpha = faded(edge.source) || faded(edge.target) || (focused && !touched) ? 0.25 : 1
    context.strokeStyle = touched && state === 'idle' ? colours.focus : colours[state]
    context.lineWidth = lineWidth(edge)
    context.setLineDash(FAILING[state] ?? DASHES[edge.kind] ?? [])
    context.beginPath()
    context.moveTo(line.from.x, line.from.y)
    context.bezierCurveTo(
      line.bend[0].x,
      line.bend[0].y,
      line.bend[1].x,
      line.bend[1].y,
      line.to.x,
      line.to.y,
    )
    context.stroke()
    context.setLineDash([])
    arrow(context, line.bend[1], line.to, colours[state])
    if (
      texts &&
      edge.kind === 'observed' &&
      edge.rate > 0 &&
      (view.scale > 0.8 || touched || state !== 'good')
    ) {
      const text =
        state === 'good'
          ? labels.rate(edge.rate)
          : `${labels.rate(edge.rate)} · ${labels.percent(edge.errors)}`
      label(context, middle(line), text, colours, state)
    }
  }
  context.globalAlpha = 1

  for (const node of topology.nodes) {
    const [left, top] = [node.x - WIDTH / 2, node.y - HEIGHT / 2]
    if (left > to.x || left + WIDTH < from.x || top > to.y || top + HEIGHT < from.y) continue
    context.globalAlpha = faded(node.id) ? 0.3 : 1
    const state = nodeClass(node)
    context.fillStyle = colours.surface
    context.strokeStyle = node.id === focused ? colours.focus : colours.line
    context.lineWidth = node.id === focused ? 3 : 1.2
    if (node.kind === 'unknown' || node.kind === 'outside') context.setLineDash([4, 3])
    box(context, left, top, node.kind === 'gateway' ? 20 : 6)
    context.setLineDash([])
    context.fillStyle = colours[state]
    context.fillRect(
      left + 1,
      top + (node.kind === 'gateway' ? 14 : 5),
      4,
      HEIGHT - (node.kind === 'gateway' ? 28 : 10),
    )
    if (!texts) continue
    context.textAlign = 'left'
    context.fillStyle = colours.text
    context.font = '600 12px system-ui, sans-serif'
    const name = node.kind === 'outside' ? labels.outside : node.name
    context.fillText(cut(name, 21), left + 14, top + 14)
    context.fillStyle = colours.dim
    context.font = '11px system-ui, sans-serif'
    context.fillText(cut(second(node, labels), 26), left + 14, top + 29)
    if (node.problems > 0) badge(context, left + WIDTH - 4, top + 3, String(node.problems), colours)
  }
  context.globalAlpha = 1
}

function second(node: TopologyNode, labels: Labels): string {
  if (node.kind === 'namespace') return labels.members(node.members)
  if (node.kind === 'outside' || node.kind === 'unknown') return ''
  const health = node.endpoints > 0 ? `${node.healthy}/${node.endpoints}` : ''
  return [node.namespace, health, node.sources.join(' ')].filter(Boolean).join(' · ')
}

function box(context: CanvasRenderingContext2D, left: number, top: number, radius: number): void {
  context.beginPath()
  context.roundRect(left, top, WIDTH, HEIGHT, radius)
  context.fill()
  context.stroke()
}

function arrow(
  context: CanvasRenderingContext2D,
  from: { x: number; y: number },
  to: { x: number; y: number },
  colour: string,
): void {
  const angle = Math.atan2(to.y - from.y, to.x - from.x)
  context.fillStyle = colour
  context.beginPath()
  context.moveTo(to.x, to.y)
  context.lineTo(to.x - 8 * Math.cos(angle - 0.42), to.y - 8 * Math.sin(angle - 0.42))
  context.lineTo(to.x - 8 * Math.cos(angle + 0.42), to.y - 8 * Math.sin(angle + 0.42))
  context.closePath()
  context.fill()
}

function label(
  context: CanvasRenderingContext2D,
  at: { x: number; y: number },
  text: string,
  colours: Colours,
  state: EdgeClass,
): void {
  context.font = '11px system-ui, sans-serif'
  context.textAlign = 'center'
  const width = context.measureText(text).width + 8
  context.fillStyle = colours.surface
  context.fillRect(at.x - width / 2, at.y - 8, width, 16)
  context.fillStyle = state === 'good' ? colours.dim : colours[state]
  context.fillText(text, at.x, at.y)
}

function badge(
  context: CanvasRenderingContext2D,
  right: number,
  top: number,
  text: string,
  colours: Colours,
): void {
  const width = Math.max(16, 8 + text.length * 7)
  context.fillStyle = colours.bad
  context.beginPath()
  context.roundRect(right - width, top, width, 15, 8)
  context.fill()
  context.fillStyle = colours.surface
  context.font = '600 10px system-ui, sans-serif'
  context.textAlign = 'center'
  context.fillText(text, right - width / 2, top + 8)
}
