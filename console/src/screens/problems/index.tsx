import type { EventView, FindingView } from '../../api/types'
import { useTexts } from '../../i18n'
import { A } from '../../ui/A'
import { Age } from '../../ui/Age'
import { Page } from '../../ui/basics'
import { FindingCode, ObjectLink } from '../../ui/findings'
import { type Column, ResourceTable } from '../../ui/ResourceTable'
import { StateOf, Status } from '../../ui/Status'
import { Tabs } from '../../ui/Tabs'
import { T } from './texts'

export default function Problems() {
  const t = useTexts(T)
  return (
    <Page title={t.title}>
      <Tabs
        label={t.parts}
        tabs={[
          { id: 'now', title: t.now, show: () => <Now /> },
          { id: 'events', title: t.events, show: () => <Events /> },
        ]}
      />
    </Page>
  )
}

function Now() {
  const t = useTexts(T)
  const columns: Column<FindingView>[] = [
    { id: 'severity', title: t.severity, tight: true, cell: problem => <StateOf state={problem.severity} /> },
    {
      id: 'code',
      title: t.code,
      sort: 'code',
      tight: true,
      cell: problem => <FindingCode code={problem.code} />,
    },
    {
      id: 'object',
      title: t.object,
      sort: 'name',
      cell: problem =>
        problem.object ? (
          <ObjectLink object={problem.object} pointer={problem.pointer || undefined} />
        ) : (
          problem.source
        ),
    },
    {
      id: 'text',
      title: t.text,
      cell: problem => (
        <span lang="en">
          {problem.text}
          {problem.hint && <span className="dim"> — {problem.hint}</span>}
        </span>
      ),
    },
    {
      id: 'proxies',
      title: t.proxies,
      cell: problem => (
        <>
          {(problem.proxies ?? []).slice(0, 3).map(id => (
            <div key={id}>
              <A to={`/proxies/${encodeURIComponent(id)}`}>{id}</A>
            </div>
          ))}
          {(problem.proxies ?? []).length > 3 && (
            <span className="dim">+ {(problem.proxies ?? []).length - 3}</span>
          )}
        </>
      ),
    },
    {
      id: 'place',
      title: t.place,
      optional: true,
      cell: problem =>
        problem.file ? `${problem.file}:${problem.line ?? ''}:${problem.column ?? ''}` : problem.source,
    },
    {
      id: 'since',
      title: t.since,
      sort: 'firstSeen',
      align: 'right',
      tight: true,
      cell: problem => <Age at={problem.firstSeen} />,
    },
  ]
  return (
    <ResourceTable
      label={t.title}
      path="/problems"
      columns={columns}
      rowKey={problem =>
        problem.id ??
        `${problem.code} ${problem.object?.kind} ${problem.object?.namespace}/${problem.object?.name} ${problem.pointer} ${problem.text}`
      }
      searchLabel={t.search}
      filters={[
        {
          param: 'severity',
          label: t.severity,
          options: (['error', 'warning', 'info'] as const).map(value => ({ value, label: t[value] })),
        },
      ]}
      cli="isthmus problems"
      empty={{ text: <Status tone="good">{t.emptyText}</Status> }}
    />
  )
}

function Events() {
  const t = useTexts(T)
  const columns: Column<EventView>[] = [
    { id: 'at', title: t.at, tight: true, cell: event => <Age at={event.at} ago /> },
    { id: 'kind', title: t.kind, sort: 'kind', tight: true, cell: event => event.kind },
    { id: 'what', title: t.what, sort: 'what', tight: true, cell: event => <StateOf state={event.what} /> },
    { id: 'name', title: t.name, sort: 'name', cell: event => <EventName event={event} /> },
    { id: 'text', title: t.text, cell: event => <span lang="en">{event.text}</span> },
  ]
  return (
    <ResourceTable
      label={t.events}
      path="/events"
      columns={columns}
      rowKey={event => `${event.at} ${event.kind} ${event.name} ${event.what} ${event.text}`}
      searchLabel={t.search}
      filters={[
        {
          param: 'kind',
          label: t.kind,
          options: ['proxy', 'registry', 'revision'].map(value => ({ value, label: value })),
        },
      ]}
      cli="isthmus events"
      every={15_000}
      empty={{ text: t.noEvents }}
    />
  )
}

function EventName({ event: { kind, namespace, name } }: { event: EventView }) {
  if (kind === 'proxy') return <A to={`/proxies/${encodeURIComponent(name)}`}>{name}</A>
  if (kind === 'revision') return <A to={`/revisions/${name}`}>{name}</A>
  if (kind === 'registry') return <A to={`/registries/${namespace}/${name}`}>{`${namespace}/${name}`}</A>
  return `${namespace}/${name}`
}
