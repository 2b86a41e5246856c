import { useState } from 'react'
import { useLanguage, useTexts } from '../../i18n'
import { Act, Panel } from '../../ui/basics'
import { CheckField, SwitchField } from '../../ui/form'
import { Status, type Tone } from '../../ui/Status'
import { Table } from '../../ui/Table'
import { T as WIZARDS } from '../wizards/texts'
import { about, type Piece, pieces, same, toggled } from './pieces'
import { inChinese } from './report'
import { T } from './texts'

type What = 'mapped' | 'changed' | 'refused'

export interface Line {
  object: string
  pointer: string
  what: What
  code?: string
  args?: string[]
  text: string
}

const TONES: Record<What, Tone> = { mapped: 'good', changed: 'warn', refused: 'bad' }

function Words({ line }: { line: Line }) {
  const { shown } = useLanguage()
  const words = shown === 'zh-CN' ? inChinese(line) : undefined
  return words === undefined ? <span lang="en">{line.text}</span> : words
}

/** What became of each part of what was read. */
export function Report({ lines }: { lines: Line[] }) {
  const t = useTexts(T)
  const w = useTexts(WIZARDS)
  const [onlyLost, setOnlyLost] = useState(false)
  const count = (what: What) => lines.filter(line => line.what === what).length
  return (
    <Panel
      title={w.report}
      flush
      actions={
        <>
          {(Object.keys(TONES) as What[]).map(what => (
            <Status key={what} tone={count(what) > 0 ? TONES[what] : 'idle'}>
              {t.parts(count(what), w[what])}
            </Status>
          ))}
          <SwitchField label={t.onlyLost} checked={onlyLost} onChange={setOnlyLost} />
        </>
      }
    >
      <Table
        label={w.report}
        rows={onlyLost ? lines.filter(line => line.what !== 'mapped') : lines}
        rowKey={(line, index) => `${index} ${line.pointer}`}
        empty={<span className="dim">{t.allKept}</span>}
        columns={[
          {
            id: 'what',
            title: w.what,
            tight: true,
            cell: line => <Status tone={TONES[line.what]}>{w[line.what]}</Status>,
          },
          { id: 'object', title: t.object, cell: line => <span className="mono">{line.object}</span> },
          { id: 'place', title: w.place, cell: line => <span className="mono">{line.pointer}</span> },
          { id: 'text', title: w.text, cell: line => <Words line={line} /> },
        ]}
      />
    </Panel>
  )
}

/** Which of the documents that were made are in the text that will be written. */
export function Take(props: { all: Piece[]; text: string; onChange: (text: string) => void }) {
  const { all, text, onChange } = props
  const t = useTexts(T)
  const now = pieces(text)
  const taken = (piece: Piece) => now.some(each => same(each, piece))
  return (
    <Panel
      title={t.take}
      flush
      actions={
        <>
          <span className="dim num">{t.taken(all.filter(taken).length, all.length)}</span>
          <Act onClick={() => onChange(toggled(text, all, true))}>{t.takeAll}</Act>
          <Act onClick={() => onChange(toggled(text, all, false))}>{t.takeNone}</Act>
        </>
      }
    >
      <Table
        label={t.take}
        rows={all}
        rowKey={(piece, index) => `${index} ${piece.name}`}
        columns={[
          {
            id: 'name',
            title: t.name,
            cell: piece => {
              const name = `${piece.kind} ${piece.namespace}/${piece.name}`
              return (
                <CheckField
                  label={<span className="mono">{name}</span>}
                  checked={taken(piece)}
                  onChange={on => onChange(toggled(text, [piece], on))}
                />
              )
            },
          },
          { id: 'about', title: t.about, cell: piece => <span className="mono">{about(piece)}</span> },
        ]}
      />
    </Panel>
  )
}
