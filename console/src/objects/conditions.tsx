import type { Condition, Document } from '../api/types'
import { useTexts } from '../i18n'
import { Age } from '../ui/Age'
import { Status, type Tone } from '../ui/Status'
import { Table } from '../ui/Table'
import { T } from './texts'

/** Those of which "True" is the bad news. */
const NEGATIVE = ['Conflicted', 'OverlappingTLSConfig', 'PartiallyInvalid']

export function conditionTone({ type, status }: Condition): Tone {
  if (status === 'Unknown') return 'idle'
  const good = NEGATIVE.includes(type) ? 'False' : 'True'
  if (status === good) return 'good'
  return type === 'Programmed' ? 'warn' : 'bad'
}

export function Conditions({ of }: { of: readonly Condition[] }) {
  const t = useTexts(T)
  return (
    <Table
      label={t.conditions}
      rows={of}
      rowKey={condition => condition.type}
      empty={<span className="dim">{t.noStatus}</span>}
      columns={[
        {
          id: 'type',
          title: t.condition,
          tight: true,
          cell: condition => <Status tone={conditionTone(condition)}>{condition.type}</Status>,
        },
        {
          id: 'status',
          title: t.state,
          tight: true,
          cell: condition => `${condition.status} · ${condition.reason}`,
        },
        { id: 'message', title: t.message, cell: condition => <span lang="en">{condition.message}</span> },
        {
          id: 'since',
          title: t.since,
          tight: true,
          align: 'right',
          cell: condition => <Age at={condition.lastTransitionTime} />,
        },
      ]}
    />
  )
}

/** All conditions of an object, of all its parents. */
export function conditionsOf(document: Document): Condition[] {
  const status = document.status ?? {}
  const parents = (status.parents ?? status.ancestors ?? []) as { conditions?: Condition[] }[]
  return [...(status.conditions ?? []), ...parents.flatMap(parent => parent.conditions ?? [])]
}

/** An object's state in one word: the worst that its conditions say. */
export function ObjectState({ document }: { document: Document }) {
  const t = useTexts(T)
  const all = conditionsOf(document)
  const isFalse = (type: string) =>
    all.find(condition => condition.type === type && condition.status === 'False')
  if (all.length === 0) return <span className="dim">{t.noStatus}</span>
  const accepted = isFalse('Accepted')
  if (accepted)
    return (
      <Status tone="bad" title={accepted.message}>
        {t.notAccepted}
      </Status>
    )
  const resolved = isFalse('ResolvedRefs')
  if (resolved)
    return (
      <Status tone="bad" title={resolved.message}>
        {t.unresolved}
      </Status>
    )
  const programmed = isFalse('Programmed')
  if (programmed)
    return (
      <Status tone="warn" title={programmed.message}>
        {t.notProgrammed}
      </Status>
    )
  return (
    <Status tone="good">
      {all.some(condition => condition.type === 'Programmed') ? t.programmed : t.accepted}
    </Status>
  )
}
