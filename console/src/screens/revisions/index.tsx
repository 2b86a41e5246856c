import { IconPinFilled } from '@tabler/icons-react'
import type { Revision } from '../../api/types'
import { useTexts } from '../../i18n'
import { A } from '../../ui/A'
import { Age } from '../../ui/Age'
import { Page } from '../../ui/basics'
import { type Column, ResourceTable } from '../../ui/ResourceTable'
import { StateOf, Status } from '../../ui/Status'
import { T } from './texts'

export default function Revisions() {
  const t = useTexts(T)
  const columns: Column<Revision>[] = [
    {
      id: 'id',
      title: t.id,
      tight: true,
      cell: revision => (
        <span className="row">
          <A to={`/revisions/${revision.id}`}>{revision.id}</A>
          <span className="dim mono">{revision.hash.slice(0, 8)}</span>
          {revision.pinned && (
            <IconPinFilled size={13} role="img" aria-label={t.pinned} className="tone-note" />
          )}
        </span>
      ),
    },
    { id: 'time', title: t.time, tight: true, cell: revision => <Age at={revision.time} ago /> },
    { id: 'author', title: t.author, cell: revision => revision.author },
    { id: 'via', title: t.via, tight: true, cell: revision => revision.via },
    {
      id: 'reason',
      title: t.reason,
      cell: revision => (
        <>
          {revision.reason}
          {revision.rollbackOf && <span className="dim"> {t.rollbackOf(revision.rollbackOf)}</span>}
        </>
      ),
    },
    { id: 'objects', title: t.objects, tight: true, cell: revision => <Counts of={revision.objects} /> },
    { id: 'state', title: t.state, tight: true, cell: revision => <RevisionState revision={revision} /> },
  ]
  return (
    <Page title={t.title}>
      <ResourceTable
        label={t.title}
        path={() => '/revisions'}
        columns={columns}
        rowKey={revision => revision.id}
        searchLabel={t.search}
        cli="isthmus revision list"
        empty={{ text: t.emptyText }}
      />
    </Page>
  )
}

/** `+1 ~2 −0` */
export function Counts({ of }: { of: { added: number; changed: number; removed: number } }) {
  const t = useTexts(T)
  return (
    <span className="row num" style={{ gap: 8 }} title={t.counts(of.added, of.changed, of.removed)}>
      {of.added > 0 && <span className="tone-good">+{of.added}</span>}
      {of.changed > 0 && <span className="tone-note">~{of.changed}</span>}
      {of.removed > 0 && <span className="tone-bad">−{of.removed}</span>}
      {of.added + of.changed + of.removed === 0 && <span className="dim">–</span>}
    </span>
  )
}

export function RevisionState({ revision }: { revision: Revision }) {
  const t = useTexts(T)
  const { current, live, refusals } = revision
  const open = refusals.filter(refusal => !refusal.until)
  return (
    <span className="row" style={{ gap: 12 }}>
      {current && (
        <Status
          tone={!live || live.live >= live.total ? 'good' : 'note'}
          title={live ? t.liveOf(live.live, live.total) : undefined}
        >
          {t.current}
          {live && live.total > 0 ? ` ${live.live}/${live.total}` : ''}
        </Status>
      )}
      {open.length > 0 && <StateOf state="refused" title={open[0]?.text} />}
      {!current && open.length === 0 && <span className="dim">{t.past}</span>}
    </span>
  )
}
