// The page of one document, the same for all kinds; a kind adds its own summary, form and traffic.

import { useQueries } from '@tanstack/react-query'
import { type ReactNode, useEffect, useState } from 'react'
import { parse, stringify } from 'yaml'
import { useDocument, useList } from '../api/hooks'
import { get } from '../api/http'
import type { KindInfo } from '../api/kinds'
import { useMe, usePermission, writeMode } from '../api/me'
import type { Document, EventView, FindingView, ObjectName, Revision, RevisionDiff } from '../api/types'
import { useAddress, useGo } from '../app/location'
import { useTexts } from '../i18n'
import { useCommon } from '../i18n/common'
import { A } from '../ui/A'
import { Age } from '../ui/Age'
import { Act, Chips, CliButton, Facts, Notice, Page, Panel } from '../ui/basics'
import { CodeEditor } from '../ui/CodeEditor'
import { FindingList } from '../ui/findings'
import { StateOf } from '../ui/Status'
import { Empty, Loaded, Skeleton } from '../ui/states'
import { Table } from '../ui/Table'
import { type Tab, Tabs } from '../ui/Tabs'
import { Conditions, conditionsOf, ObjectState } from './conditions'
import { Effective } from './Effective'
import { toYaml, useSave } from './save'
import { T } from './texts'

interface Props {
  info: KindInfo
  namespace: string
  name: string
  /** Where the list is. */
  back: { to: string; title: string }
  /** Above conditions and findings. */
  summary?: (document: Document) => ReactNode
  /** A form for the same document; it changes the text that YAML shows. */
  form?: (text: string, setText: (text: string) => void) => ReactNode
  /** `route/shop/orders` */
  traffic?: ReactNode
  actions?: ReactNode
}

export function ObjectPage(props: Props) {
  const { info, namespace, name, back, summary, form, traffic, actions } = props
  const t = useTexts(T)
  const common = useCommon()
  const go = useGo()
  const document = useDocument(info, namespace, name)
  const { remove } = useSave()
  const denied = usePermission('editor', info.namespaced ? namespace : undefined, true)
  const full = namespace ? `${namespace}/${name}` : name
  const draft = useDraft(document.data?.data, document.data?.etag)
  const edit = { info, namespace, name, draft }

  const tabs: Tab[] = [
    {
      id: 'summary',
      title: t.summary,
      show: () => (
        <Loaded query={document}>
          {({ data }) => <Summary document={data} info={info} extra={summary?.(data)} />}
        </Loaded>
      ),
    },
    ...(traffic ? [{ id: 'traffic', title: t.traffic, show: () => traffic }] : []),
    {
      id: 'effective',
      title: t.effective,
      show: () => <Effective object={{ kind: info.kind, namespace, name }} />,
    },
    ...(form
      ? [
          {
            id: 'form',
            title: t.form,
            show: () => (
              <Loaded query={document}>
                {() => <Editing {...edit}>{form(draft.text, draft.setText)}</Editing>}
              </Loaded>
            ),
          },
        ]
      : []),
    {
      id: 'yaml',
      title: t.yaml,
      show: () => (
        <Loaded query={document}>
          {() => (
            <Editing {...edit}>
              <Yaml info={info} draft={draft} readOnly={Boolean(denied)} />
            </Editing>
          )}
        </Loaded>
      ),
    },
    {
      id: 'history',
      title: t.history,
      show: () => <History object={{ kind: info.kind, namespace, name }} />,
    },
    { id: 'events', title: t.events, show: () => <Events object={{ kind: info.kind, namespace, name }} /> },
  ]
  return (
    <Page
      title={
        <span className="row wrap">
          {full}
          {document.data && conditionsOf(document.data.data).length > 0 && (
            <span style={{ fontSize: 13, fontWeight: 400 }}>
              <ObjectState document={document.data.data} />
            </span>
          )}
        </span>
      }
      name={full}
      crumbs={
        <>
          <A to={back.to}>{back.title}</A> / {info.kind}
        </>
      }
      actions={
        <>
          {actions}
          <CliButton
            command={`isthmus describe ${info.plural} ${name}${namespace ? ` -n ${namespace}` : ''}`}
          />
          <Act
            why={denied ?? (document.data ? undefined : common.loading)}
            onClick={() =>
              remove({ info, namespace, name, etag: document.data?.etag, done: () => go(back.to) })
            }
          >
            {t.remove}
          </Act>
        </>
      }
    >
      <Tabs tabs={tabs} label={t.parts(full)} />
    </Page>
  )
}

interface Draft {
  text: string
  dirty: boolean
  setText: (text: string) => void
  revert: () => void
  /** What the edit began with. */
  base?: Document
  etag?: string | null
  /** Whether the object is another one by now. */
  outdated: boolean
}

/** The text that is edited. It follows the object until somebody types; then it stays, and says when the object moves on. */
function useDraft(document: Document | undefined, etag: string | null | undefined): Draft {
  const [kept, setEdited] = useState<{ text: string; base?: Document; etag?: string | null }>()
  // What was proposed here and written elsewhere is no edit any more.
  const done = kept && document && kept.etag !== etag && saysSame(kept.text, document)
  useEffect(() => {
    if (done) setEdited(undefined)
  }, [done])
  const edited = done ? undefined : kept
  const text = edited?.text ?? (document ? toYaml(document) : '')
  return {
    text,
    dirty: edited !== undefined,
    setText: next => {
      if (next === text) return
      setEdited(before => ({
        base: before ? before.base : document,
        etag: before ? before.etag : etag,
        text: next,
      }))
    },
    revert: () => setEdited(undefined),
    base: edited ? edited.base : document,
    etag: edited ? edited.etag : etag,
    outdated: edited !== undefined && edited.etag !== etag,
  }
}

function saysSame(text: string, { status: _, ...document }: Document): boolean {
  try {
    const sorted = (value: unknown) => stringify(value, { sortMapEntries: true })
    return sorted(parse(text)) === sorted(document)
  } catch {
    return false
  }
}

function Summary({ document, info, extra }: { document: Document; info: KindInfo; extra?: ReactNode }) {
  const t = useTexts(T)
  const { metadata } = document
  const problems = useList<FindingView>('/problems', { namespace: metadata.namespace, limit: 1000 })
  const mine = (problems.data?.items ?? []).filter(
    ({ object }) =>
      object?.kind === info.kind &&
      object.name === metadata.name &&
      object.namespace === (metadata.namespace ?? ''),
  )
  const labels = Object.entries(metadata.labels ?? {}).map(([key, value]) => `${key}=${value}`)
  const conditions = conditionsOf(document)
  return (
    <div className="stack">
      {mine.length > 0 && (
        <Panel title={t.findings}>
          <FindingList findings={mine} />
        </Panel>
      )}
      {extra}
      {conditions.length > 0 && (
        <Panel title={t.conditions} flush>
          <Conditions of={conditions} />
        </Panel>
      )}
      {(labels.length > 0 || metadata.creationTimestamp) && (
        <Panel>
          <Facts
            of={[
              [t.labels, labels.length > 0 ? <Chips of={labels} /> : undefined],
              [
                t.created,
                metadata.creationTimestamp ? <Age at={metadata.creationTimestamp} ago /> : undefined,
              ],
              [t.generation, metadata.generation],
            ]}
          />
        </Panel>
      )}
    </div>
  )
}

function Editing(props: {
  info: KindInfo
  namespace: string
  name: string
  draft: Draft
  children: ReactNode
}) {
  const { info, namespace, name, draft, children } = props
  const t = useTexts(T)
  const { save } = useSave()
  const denied = usePermission('editor', info.namespaced ? namespace : undefined, true)
  const proposes = writeMode(useMe(), namespace) === 'propose'
  return (
    <div className="stack">
      {draft.outdated && (
        <Notice tone="warn" actions={<Act onClick={draft.revert}>{t.showNew}</Act>}>
          {t.changedElsewhere}
        </Notice>
      )}
      {children}
      <div className="row wrap">
        <Act
          variant="filled"
          why={denied ?? (draft.dirty ? undefined : t.unsaved)}
          onClick={() =>
            save({
              info,
              namespace,
              name,
              text: draft.text,
              etag: draft.etag,
              base: draft.base,
              done: draft.revert,
            })
          }
        >
          {proposes ? t.propose : t.save}
        </Act>
        {draft.dirty && (
          <>
            <Act onClick={draft.revert}>{t.revert}</Act>
            <span className="dim">{t.unsaved}</span>
          </>
        )}
      </div>
    </div>
  )
}

function Yaml({ info, draft, readOnly }: { info: KindInfo; draft: Draft; readOnly: boolean }) {
  const t = useTexts(T)
  const [search] = useAddress()
  const [findings, setFindings] = useState<FindingView[]>([])
  return (
    <div className="stack">
      <CodeEditor
        value={draft.text}
        onChange={draft.setText}
        label={t.yaml}
        kind={info.kind}
        at={search.at}
        readOnly={readOnly}
        validate={!readOnly}
        onFindings={setFindings}
      />
      {findings.length > 0 && <FindingList findings={findings} />}
    </div>
  )
}

/** How many of the newest revisions are looked through. */
const LOOKED_AT = 20

function History({ object }: { object: ObjectName }) {
  const t = useTexts(T)
  const common = useCommon()
  const revisions = useList<Revision>('/revisions', { limit: LOOKED_AT })
  const all = revisions.data?.items ?? []
  const differences = useQueries({
    queries: all.map(({ id, hash }) => ({
      queryKey: ['revision-objects', hash],
      queryFn: ({ signal }: { signal: AbortSignal }) =>
        get<RevisionDiff>(`/revisions/${id}/diff`, {}, signal),
      // A revision never becomes another one.
      staleTime: Number.POSITIVE_INFINITY,
      retry: false,
    })),
  })
  if (differences.some(each => each.isPending)) return <Skeleton />
  const isIt = (of: ObjectName) =>
    of.kind === object.kind && of.namespace === object.namespace && of.name === object.name
  const rows = all.flatMap((revision, index) => {
    const change = differences[index]?.data?.objects.find(isIt)
    return change ? [{ revision, change }] : []
  })
  return (
    <Loaded query={revisions}>
      {() =>
        rows.length === 0 ? (
          <Empty why="nothing" text={t.noHistory(LOOKED_AT)} />
        ) : (
          <Panel flush>
            <Table
              label={t.history}
              rows={rows}
              rowKey={({ revision }) => revision.id}
              columns={[
                {
                  id: 'revision',
                  title: t.revision,
                  tight: true,
                  cell: ({ revision }) => <A to={`/revisions/${revision.id}`}>{revision.id}</A>,
                },
                {
                  id: 'time',
                  title: t.since,
                  tight: true,
                  cell: ({ revision }) => <Age at={revision.time} ago />,
                },
                {
                  id: 'what',
                  title: t.state,
                  tight: true,
                  cell: ({ change }) => <StateOf state={change.action} />,
                },
                {
                  id: 'fields',
                  title: t.fields,
                  cell: ({ change }) => (
                    <span className="mono" style={{ overflowWrap: 'anywhere' }}>
                      {change.fields
                        .slice(0, 4)
                        .map(field => field.pointer)
                        .join(', ') || '–'}
                    </span>
                  ),
                },
                {
                  id: 'author',
                  title: t.author,
                  cell: ({ revision }) => `${revision.author} · ${revision.via}`,
                },
                { id: 'reason', title: common.reason, cell: ({ revision }) => revision.reason },
              ]}
            />
          </Panel>
        )
      }
    </Loaded>
  )
}

function Events({ object }: { object: { kind: string; namespace: string; name: string } }) {
  const t = useTexts(T)
  const full = object.namespace ? `${object.namespace}/${object.name}` : object.name
  const events = useList<EventView>('/events', { q: full, limit: 100 })
  return (
    <Loaded query={events}>
      {({ items }) =>
        items.length === 0 ? (
          <Empty why="nothing" text={t.noEvents} />
        ) : (
          <Panel flush>
            <Table
              label={t.events}
              rows={items}
              rowKey={(event, index) => `${event.at} ${index}`}
              columns={[
                { id: 'at', title: t.since, tight: true, cell: event => <Age at={event.at} ago /> },
                { id: 'what', title: t.state, tight: true, cell: event => <StateOf state={event.what} /> },
                {
                  id: 'why',
                  title: t.message,
                  cell: event => <span lang="en">{event.text}</span>,
                },
              ]}
            />
          </Panel>
        )
      }
    </Loaded>
  )
}
