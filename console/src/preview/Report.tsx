// A ChangeReport, or the difference of two revisions, in three parts.

import { Badge, Tabs as MantineTabs } from '@mantine/core'
import { lazy, type ReactNode, Suspense, useState } from 'react'
import type {
  ChangeReport,
  FieldChange,
  Gate,
  ObjectChange,
  Proposal,
  ProxyImpact,
  ResourceDiff,
  TypeChange,
} from '../api/types'
import { useTexts } from '../i18n'
import { useCommon } from '../i18n/common'
import { Chips, DiffText, Notice } from '../ui/basics'
import { FindingList, ObjectLink } from '../ui/findings'
import { StateOf, Status, ToneIcon } from '../ui/Status'
import { Skeleton } from '../ui/states'
import { Table } from '../ui/Table'
import { T } from './texts'

const Editor = lazy(() => import('../ui/editor/Editor'))

export function ReportTabs({ report }: { report: ChangeReport }) {
  const t = useTexts(T)
  const changed = report.objects.filter(object => object.action !== 'unchanged')
  const { proposal } = report
  // That somebody else writes it is nothing wrong with a proposal.
  const failed = report.gates.filter(
    ({ name, state }) => state === 'failed' && !(proposal && name === 'rights'),
  )
  const bad = failed.length > 0 || report.findings.some(f => f.severity === 'error')
  const notices = report.findings.length + failed.length
  const tabs: [string, string, number, ReactNode][] = [
    ['objects', t.objects, changed.length, <ObjectChanges key="o" objects={changed} />],
    ['proxies', t.proxies, report.proxies.affected, <Impact key="p" impact={report.proxies} />],
    ['notices', t.notices, notices, <Notices key="n" report={report} />],
    ...(proposal
      ? [['patch', t.patch, filesOf(proposal), <Patch key="f" proposal={proposal} />] as (typeof tabs)[0]]
      : []),
  ]
  return (
    <MantineTabs defaultValue="objects" keepMounted={false}>
      <MantineTabs.List aria-label={t.tabs} mb="sm">
        {tabs.map(([id, title, count]) => (
          <MantineTabs.Tab
            key={id}
            value={id}
            leftSection={id === 'notices' && bad ? <ToneIcon tone="bad" /> : undefined}
            rightSection={
              <Badge variant="default" size="sm" className="num">
                {count}
              </Badge>
            }
          >
            {title}
          </MantineTabs.Tab>
        ))}
      </MantineTabs.List>
      {tabs.map(([id, , , body]) => (
        <MantineTabs.Panel key={id} value={id} style={{ minHeight: 180 }}>
          {body}
        </MantineTabs.Panel>
      ))}
    </MantineTabs>
  )
}

export function ObjectChanges({ objects }: { objects: readonly ObjectChange[] }) {
  const t = useTexts(T)
  if (objects.length === 0) return <p className="dim">{t.nothing}</p>
  return (
    <div className="stack" style={{ gap: 6 }}>
      {objects.map(object => (
        <OneObject
          key={`${object.kind}/${object.namespace}/${object.name}`}
          object={object}
          open={objects.length <= 3}
        />
      ))}
    </div>
  )
}

function OneObject({ object, open }: { object: ObjectChange; open: boolean }) {
  const t = useTexts(T)
  const [text, setText] = useState(object.action !== 'changed' || object.fields.length === 0)
  return (
    <details className="fold panel" open={open}>
      <summary>
        <StateOf state={object.action} />
        <span className="dim">{object.kind}</span>
        <strong>{object.namespace ? `${object.namespace}/${object.name}` : object.name}</strong>
      </summary>
      <div className="body stack">
        {object.action !== 'removed' && <ObjectLink object={object} />}
        {object.action === 'changed' && object.fields.length > 0 && <Fields fields={object.fields} />}
        {text ? (
          <TextDiff before={object.before} after={object.after} />
        ) : (
          <button
            type="button"
            className="th-button"
            style={{ alignSelf: 'flex-start' }}
            onClick={() => setText(true)}
          >
            {t.text}
          </button>
        )}
      </div>
    </details>
  )
}

function Fields({ fields }: { fields: readonly FieldChange[] }) {
  const t = useTexts(T)
  return (
    <Table
      label={t.field}
      top
      rows={fields}
      rowKey={field => field.pointer}
      columns={[
        { id: 'field', title: t.field, cell: field => <span className="mono">{field.pointer}</span> },
        { id: 'before', title: t.before, cell: field => <Value value={field.before} tone="bad" /> },
        { id: 'after', title: t.after, cell: field => <Value value={field.after} tone="good" /> },
      ]}
    />
  )
}

function Value({ value, tone }: { value: unknown; tone: 'good' | 'bad' }) {
  if (value === undefined) return <span className="dim">–</span>
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return (
    <span className={`mono tone-${tone}`} style={{ overflowWrap: 'anywhere' }}>
      {text}
    </span>
  )
}

export function TextDiff({ before, after }: { before: string; after: string }) {
  const t = useTexts(T)
  return (
    <Suspense fallback={<Skeleton rows={4} />}>
      {before && after ? (
        <Editor value={after} original={before} label={t.text} readOnly />
      ) : (
        <Editor value={after || before} label={t.text} readOnly />
      )}
    </Suspense>
  )
}

function Impact({ impact }: { impact: ProxyImpact }) {
  const t = useTexts(T)
  return (
    <div className="stack">
      <div className="row wrap" style={{ gap: 16 }}>
        <Status tone={impact.affected > 0 ? 'note' : 'idle'}>
          {impact.affected > 0 ? t.affected(impact.affected, impact.total) : t.noProxies}
        </Status>
        {impact.affected > 0 && (
          <Status tone={impact.drains ? 'warn' : 'good'}>{impact.drains ? t.drains : t.keeps}</Status>
        )}
      </div>
      {impact.groups.map(group => (
        <details className="fold panel" key={group.group} open={impact.groups.length <= 4}>
          <summary>
            <strong className="grow cut">{group.group}</strong>
            <span className="num dim">{group.count}</span>
            <TypeChanges types={group.types} />
          </summary>
          <div className="body">
            <Chips of={group.proxies} />
          </div>
        </details>
      ))}
      {impact.samples.length > 0 && (
        <>
          <h3>{t.samples}</h3>
          <Resources resources={impact.samples} />
        </>
      )}
    </div>
  )
}

/** `RDS ~1 +2 −0` */
export function TypeChanges({ types }: { types: readonly TypeChange[] }) {
  const t = useTexts(T)
  return (
    <span className="row wrap num" style={{ gap: 10 }}>
      {types.map(type => (
        <span key={type.type} className="nowrap">
          <span className="dim">{type.type}</span>
          {type.added > 0 && (
            <span className="tone-good" title={t.added}>
              {' '}
              +{type.added}
            </span>
          )}
          {type.changed > 0 && (
            <span className="tone-note" title={t.changed}>
              {' '}
              ~{type.changed}
            </span>
          )}
          {type.removed > 0 && (
            <span className="tone-bad" title={t.removed}>
              {' '}
              −{type.removed}
            </span>
          )}
        </span>
      ))}
    </span>
  )
}

export function Resources({ resources }: { resources: readonly ResourceDiff[] }) {
  return (
    <div className="stack" style={{ gap: 6 }}>
      {resources.map((resource, index) => (
        <details
          className="fold panel"
          key={`${resource.group} ${resource.type} ${resource.name}`}
          open={index === 0 && resources.length <= 5}
        >
          <summary>
            <StateOf state={resource.action} />
            <span className="dim">{resource.type}</span>
            <strong className="grow cut mono">{resource.name}</strong>
            <span className="dim cut">{resource.group}</span>
          </summary>
          <div className="body">
            <DiffText text={resource.diff} />
          </div>
        </details>
      ))}
    </div>
  )
}

function filesOf({ patch }: Proposal): number {
  return patch.split('\n').filter(line => line.startsWith('+++ ')).length
}

function Patch({ proposal }: { proposal: Proposal }) {
  const t = useTexts(T)
  const { patch, leftOut } = proposal
  return (
    <div className="stack">
      {leftOut.length > 0 && (
        <Notice tone="warn" title={t.leftOut}>
          <ul className="plain">
            {leftOut.map(object => (
              <li key={`${object.kind} ${object.namespace}/${object.name}`}>
                {object.kind} {object.namespace ? `${object.namespace}/${object.name}` : object.name}:{' '}
                {t[`left_${object.because}` as const]}
                {object.because === 'file' && <span lang="en"> {object.text}</span>}
              </li>
            ))}
          </ul>
        </Notice>
      )}
      {patch && <DiffText text={patch} />}
    </div>
  )
}

function Notices({ report }: { report: ChangeReport }) {
  const t = useTexts(T)
  return (
    <div className="stack">
      {report.gates.length > 0 && (
        <div>
          <h3>{t.gates}</h3>
          <ul style={{ margin: '6px 0 0', padding: 0, listStyle: 'none' }} className="stack tight">
            {report.gates.map(gate => (
              <GateLine key={gate.name} gate={gate} />
            ))}
          </ul>
        </div>
      )}
      <div>
        <h3>{t.findings}</h3>
        {report.findings.length > 0 ? (
          <FindingList findings={report.findings} />
        ) : (
          <p className="dim">{t.clean}</p>
        )}
      </div>
      {report.resolved.length > 0 && (
        <div>
          <h3>{t.resolved}</h3>
          <FindingList findings={report.resolved} />
        </div>
      )}
    </div>
  )
}

function GateLine({ gate }: { gate: Gate }) {
  const t = useTexts(T)
  const common = useCommon()
  const name = t[`gate_${gate.name}` as keyof typeof t]
  const tone = gate.state === 'passed' ? 'good' : gate.state === 'failed' ? 'bad' : 'idle'
  return (
    <li className="row top">
      <Status tone={tone}>{common[gate.state] ?? gate.state}</Status>
      <span className="grow">
        {typeof name === 'string' ? name : gate.name}
        {gate.text && (
          <span className="dim" lang="en">
            {' '}
            — {gate.text}
          </span>
        )}
      </span>
    </li>
  )
}
