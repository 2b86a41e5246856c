import 'uplot/dist/uPlot.min.css'
import { IconChartLine, IconDownload, IconTable } from '@tabler/icons-react'
import { useEffect, useRef, useState } from 'react'
import uPlot from 'uplot'
import { texts, useTexts } from '../../i18n'
import { useFormat } from '../../i18n/format'
import { IconAct, saveFile } from '../basics'
import type { ChartProps } from '../Chart'
import { Table } from '../Table'

const T = texts(
  { table: 'Show as a table', chart: 'Show as a chart', csv: 'Save as CSV', time: 'Time' },
  { table: '以表格显示', chart: '以图表显示', csv: '保存为 CSV', time: '时间' },
)

export default function Plot(props: ChartProps) {
  const { label, times, lines, unit, height = 150, marks, sync } = props
  const t = useTexts(T)
  const format = useFormat()
  const [table, setTable] = useState(false)
  const [built, setBuilt] = useState(0)
  const box = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot>(undefined)
  const latest = useRef({ marks, format })
  latest.current = { marks, format }
  const text = (value: number | null | undefined) =>
    value === null || value === undefined
      ? '–'
      : unit === 'ms'
        ? format.ms(value)
        : unit === 'rate'
          ? format.rate(value)
          : format.number(value)
  const show = useRef(text)
  show.current = text
  const shape = lines.map(line => `${line.label} ${line.tone}`).join()

  // biome-ignore lint/correctness/useExhaustiveDependencies: data is set below without building anew
  useEffect(() => {
    const parent = box.current
    if (!parent || table) return
    const style = getComputedStyle(parent)
    const colour = (tone: string) => style.getPropertyValue(`--${tone}`).trim()
    // Canvas knows no custom properties, so that a change of theme builds the chart anew.
    const axis = { stroke: colour('dim'), grid: { stroke: colour('line'), width: 1 }, ticks: { show: false } }
    const made = new uPlot(
      {
        width: parent.clientWidth || 300,
        height,
        cursor: { sync: sync ? { key: sync } : undefined, points: { size: 6 }, drag: { x: false, y: false } },
        legend: { live: true },
        scales: { y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] } },
        axes: [
          { ...axis, values: (_, all) => all.map(at => clock(at)) },
          { ...axis, size: 62, values: (_, all) => all.map(value => show.current(value)) },
        ],
        series: [
          { label: t.time, value: (_, at) => (at ? clock(at) : '–') },
          ...lines.map(line => ({
            label: line.label,
            stroke: colour(line.tone),
            width: 1.5,
            spanGaps: false,
            points: { show: false },
            value: (_: uPlot, value: number | null) => show.current(value),
          })),
        ],
        hooks: {
          draw: [
            chart => {
              const { ctx, bbox } = chart
              ctx.save()
              ctx.strokeStyle = colour('note')
              ctx.setLineDash([3, 3])
              for (const mark of latest.current.marks ?? []) {
                const x = chart.valToPos(mark.at, 'x', true)
                if (x < bbox.left || x > bbox.left + bbox.width) continue
                ctx.beginPath()
                ctx.moveTo(x, bbox.top)
                ctx.lineTo(x, bbox.top + bbox.height)
                ctx.stroke()
              }
              ctx.restore()
            },
          ],
        },
      },
      [times, ...lines.map(line => line.values)],
      parent,
    )
    plot.current = made
    const watch = new ResizeObserver(() => made.setSize({ width: parent.clientWidth, height }))
    watch.observe(parent)
    const scheme = new MutationObserver(() => setBuilt(count => count + 1))
    scheme.observe(document.documentElement, { attributeFilter: ['data-mantine-color-scheme'] })
    return () => {
      watch.disconnect()
      scheme.disconnect()
      made.destroy()
      plot.current = undefined
    }
  }, [shape, height, sync, table, unit, built])

  useEffect(() => {
    plot.current?.setData([times, ...lines.map(line => line.values)])
  }, [times, lines])

  function clock(at: number): string {
    return latest.current.format.clock(at * 1000).slice(0, 5)
  }

  const save = () => {
    const rows = times.map((at, index) =>
      [new Date(at * 1000).toISOString(), ...lines.map(line => line.values[index] ?? '')].join(','),
    )
    const text = [['time', ...lines.map(line => line.label)].join(','), ...rows].join('\n')
    saveFile(`${label}.csv`, 'text/csv', text)
  }

  return (
    <figure className="chart" aria-label={label} style={{ margin: 0 }}>
      <div className="row spread">
        <figcaption style={{ fontWeight: 600 }}>{label}</figcaption>
        <span className="row" style={{ gap: 0 }}>
          <IconAct label={table ? t.chart : t.table} onClick={() => setTable(!table)}>
            {table ? <IconChartLine size={15} /> : <IconTable size={15} />}
          </IconAct>
          <IconAct label={t.csv} onClick={save}>
            <IconDownload size={15} />
          </IconAct>
        </span>
      </div>
      {table ? (
        <div style={{ maxHeight: height + 40, overflow: 'auto' }}>
          <Table
            label={label}
            rows={times.map((at, index) => ({ at, index })).reverse()}
            rowKey={row => String(row.at)}
            columns={[
              { id: 'time', title: t.time, cell: row => format.clock(row.at * 1000) },
              ...lines.map(line => ({
                id: line.label,
                title: line.label,
                align: 'right' as const,
                cell: (row: { index: number }) => text(line.values[row.index]),
              })),
            ]}
          />
        </div>
      ) : (
        <div ref={box} aria-hidden />
      )}
    </figure>
  )
}
