// The picture: pan by dragging, zoom by wheel, pinch or keys, walk by arrows. The table beneath says the same.

import { IconArrowsMaximize, IconMinus, IconPlus } from '@tabler/icons-react'
import {
  type KeyboardEvent,
  type PointerEvent,
  useCallback,
  useEffect,
  useMemo,
  useRef,
  useState,
} from 'react'
import type { Topology, TopologyNode } from '../../api/types'
import { useTexts } from '../../i18n'
import { useFormat } from '../../i18n/format'
import { Facts, IconAct } from '../../ui/basics'
import { coloursOf, draw } from './draw'
import { fit, Grid, HEIGHT, step, toScreen, toWorld, type View, zoom } from './geometry'
import { T } from './texts'

export function Canvas(props: {
  topology: Topology
  find: string
  focused: string | undefined
  onFocus: (id: string | undefined) => void
  onOpen: (node: TopologyNode) => void
  card: (node: TopologyNode) => React.ReactNode
}) {
  const { topology, find, focused, onFocus, onOpen, card } = props
  const t = useTexts(T)
  const format = useFormat()
  const box = useRef<HTMLDivElement>(null)
  const canvas = useRef<HTMLCanvasElement>(null)
  const [size, setSize] = useState({ width: 0, height: 0 })
  const [moved, setMoved] = useState<View>()
  const [theme, setTheme] = useState(0)
  const shape = `${topology.width}×${topology.height}`
  const grid = useMemo(() => new Grid(topology.nodes), [topology.nodes])
  const view = useMemo(() => moved ?? fit(topology, size.width, size.height), [moved, topology, size])

  useEffect(() => {
    const element = box.current
    if (!element) return
    const sizes = new ResizeObserver(() =>
      setSize({ width: element.clientWidth, height: element.clientHeight }),
    )
    sizes.observe(element)
    const themes = new MutationObserver(() => setTheme(count => count + 1))
    themes.observe(document.documentElement, { attributes: true })
    return () => {
      sizes.disconnect()
      themes.disconnect()
    }
  }, [])

  // A picture of another shape is shown as a whole again.
  // biome-ignore lint/correctness/useExhaustiveDependencies: the shape is what it depends on
  useEffect(() => setMoved(undefined), [shape])

  // biome-ignore lint/correctness/useExhaustiveDependencies: the theme changes colours that are read from the page
  useEffect(() => {
    const element = canvas.current
    const context = element?.getContext('2d')
    if (!element || !context || size.width === 0) return
    const frame = requestAnimationFrame(() => {
      const density = window.devicePixelRatio || 1
      const [width, height] = [Math.round(size.width * density), Math.round(size.height * density)]
      if (element.width !== width || element.height !== height) {
        element.width = width
        element.height = height
      }
      const needle = find.toLowerCase()
      draw(context, {
        topology,
        view,
        ...size,
        colours: coloursOf(element),
        focused,
        matches: needle ? node => `${node.namespace}/${node.name}`.toLowerCase().includes(needle) : undefined,
        labels: { rate: format.rate, percent: format.percent, members: t.members, outside: t.outside },
      })
    })
    return () => cancelAnimationFrame(frame)
  }, [topology, view, size, focused, find, theme, t, format.language])

  const zoomBy = useCallback(
    (factor: number, at = { x: size.width / 2, y: size.height / 2 }) =>
      setMoved(before => zoom(before ?? fit(topology, size.width, size.height), at, factor)),
    [size, topology],
  )

  useEffect(() => {
    const element = canvas.current
    if (!element) return
    // React's own wheel handler cannot keep the page from scrolling.
    const wheel = (event: WheelEvent) => {
      event.preventDefault()
      zoomBy(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)), {
        x: event.offsetX,
        y: event.offsetY,
      })
    }
    element.addEventListener('wheel', wheel, { passive: false })
    return () => element.removeEventListener('wheel', wheel)
  }, [zoomBy])

  const drag = useRef<{ x: number; y: number; far: boolean }>(undefined)
  const point = (event: PointerEvent) => ({ x: event.nativeEvent.offsetX, y: event.nativeEvent.offsetY })
  const down = (event: PointerEvent) => {
    if (event.button !== 0) return
    event.currentTarget.setPointerCapture(event.pointerId)
    drag.current = { ...point(event), far: false }
  }
  const move = (event: PointerEvent) => {
    const from = drag.current
    const to = point(event)
    if (!from) {
      event.currentTarget.classList.toggle('over', Boolean(grid.at(toWorld(view, to))))
      return
    }
    const [dx, dy] = [to.x - from.x, to.y - from.y]
    if (!from.far && Math.hypot(dx, dy) < 4) return
    drag.current = { ...to, far: true }
    setMoved({ ...view, x: view.x + dx, y: view.y + dy })
  }
  const up = (event: PointerEvent) => {
    const from = drag.current
    drag.current = undefined
    if (!from || from.far) return
    onFocus(grid.at(toWorld(view, point(event)))?.id)
  }

  const node = topology.nodes.find(each => each.id === focused)
  const key = (event: KeyboardEvent) => {
    const { key } = event
    if (key === '+' || key === '=') zoomBy(1.25)
    else if (key === '-') zoomBy(0.8)
    else if (key === '0') setMoved(undefined)
    else if (key === 'Escape') onFocus(undefined)
    else if (key === 'Enter' && node) onOpen(node)
    else if (key === 'ArrowLeft' || key === 'ArrowRight' || key === 'ArrowUp' || key === 'ArrowDown') {
      const next = node ? step(topology.nodes, topology.edges, node, key) : topology.nodes[0]
      if (next) {
        onFocus(next.id)
        reveal(next)
      }
    } else return
    event.preventDefault()
  }
  const reveal = (next: TopologyNode) => {
    const at = toScreen(view, next)
    const inside = at.x > 100 && at.y > 40 && at.x < size.width - 100 && at.y < size.height - 40
    if (!inside) setMoved({ ...view, x: view.x + size.width / 2 - at.x, y: view.y + size.height / 2 - at.y })
  }
  const at = node && toScreen(view, { x: node.x, y: node.y + HEIGHT / 2 })

  return (
    <div className="topology" ref={box}>
      {/* biome-ignore lint/a11y/noInteractiveElementToNoninteractiveRole: it takes keys as an application does */}
      <canvas
        ref={canvas}
        role="application"
        tabIndex={0}
        aria-label={t.canvas(topology.nodes.length, topology.edges.length)}
        onPointerDown={down}
        onPointerMove={move}
        onPointerUp={up}
        onPointerCancel={() => {
          drag.current = undefined
        }}
        onKeyDown={key}
      />
      <div className="topology-tools">
        <IconAct label={t.larger} onClick={() => zoomBy(1.25)}>
          <IconPlus size={16} />
        </IconAct>
        <IconAct label={t.smaller} onClick={() => zoomBy(0.8)}>
          <IconMinus size={16} />
        </IconAct>
        <IconAct label={t.fit} onClick={() => setMoved(undefined)}>
          <IconArrowsMaximize size={16} />
        </IconAct>
      </div>
      <div className="topology-legend" aria-hidden>
        <Legend text={t.observed} className="tone-good" />
        <Legend text={t.failing} className="tone-bad" dashes="16 4 4 4" />
        <Legend text={t.declared} className="tone-idle" dashes="9 6" />
        <Legend text={t.configured} className="tone-idle" dashes="2 5" />
      </div>
      {node && at && (
        <section
          className="topology-node"
          aria-label={node.name}
          style={{
            left: Math.max(8, Math.min(size.width - 290, at.x - 130)),
            top: at.y + 190 > size.height ? Math.max(8, at.y - HEIGHT * view.scale - 176) : at.y + 8,
          }}
        >
          {card(node)}
        </section>
      )}
    </div>
  )
}

function Legend({ text, className, dashes }: { text: string; className: string; dashes?: string }) {
  return (
    <span>
      <svg width="34" height="8" className={className}>
        <line x1="0" y1="4" x2="34" y2="4" stroke="currentColor" strokeWidth="2" strokeDasharray={dashes} />
      </svg>
      {text}
    </span>
  )
}

export function NodeFacts({ node }: { node: TopologyNode }) {
  const t = useTexts(T)
  return (
    <Facts
      of={[
        [t.endpoints, node.endpoints > 0 && `${node.healthy}/${node.endpoints}`],
        [t.sources, node.sources.join(', ')],
        [t.problems, node.problems || undefined],
      ]}
    />
  )
}
