import { IconPin, IconPinnedOff } from '@tabler/icons-react'
import { useMutation } from '@tanstack/react-query'
import { queries, useApi, useList } from '../../api/hooks'
import { send } from '../../api/http'
import { useMe, usePermission, writesNowhere } from '../../api/me'
import type { Refusal, Revision, RevisionDiff } from '../../api/types'
import { useAddress, useGo } from '../../app/location'
import { useParams } from '../../app/params'
import { useTexts } from '../../i18n'
import { useCommon } from '../../i18n/common'
import { usePreview } from '../../preview'
import { ObjectChanges, Resources, TypeChanges } from '../../preview/Report'
import { A } from '../../ui/A'
import { Age } from '../../ui/Age'
import { Act, Chips, CliButton, Facts, Notice, Page, Panel } from '../../ui/basics'
import { Origin } from '../../ui/findings'
import { SelectField } from '../../ui/form'
import { ErrorCard, Loaded } from '../../ui/states'
import { Tabs } from '../../ui/Tabs'
import { Counts, RevisionState } from '../revisions'
import { T } from '../revisions/texts'

export default function RevisionPage() {
  const { id = '' } = useParams()
  const t = useTexts(T)
  const revision = useApi<Revision>(`/revisions/${encodeURIComponent(id)}`)
  const open = revision.data?.refusals.length ?? 0
  return (
    <Page
      title={
        <span className="row wrap">
          {id}
          {revision.data && (
            <span style={{ fontSize: 13 }}>
              <RevisionState revision={revision.data} />
            </span>
          )}
        </span>
      }
      name={id}
      crumbs={<A to="/revisions">{t.title}</A>}
      actions={revision.data && <Actions revision={revision.data} />}
    >
      <Loaded query={revision}>
        {data => (
          <>
            <Panel>
              <Facts
                of={[
                  [t.author, data.author],
                  [t.via, data.via],
                  [t.time, <Age key="t" at={data.time} ago />],
                  [t.reason, data.reason],
                  [t.objects, <Counts key="o" of={data.objects} />],
                  [t.live, data.live ? t.liveOf(data.live.live, data.live.total) : undefined],
                  [
                    t.hash,
                    <span key="h" className="mono">
                      {data.hash}
                    </span>,
                  ],
                  [
                    t.errors,
                    data.errors > 0 ? (
                      <A to="/problems" key="e">
                        {data.errors}
                      </A>
                    ) : undefined,
                  ],
                  [t.rollback, data.rollbackOf ? t.rollbackOf(data.rollbackOf) : undefined],
                ]}
              />
            </Panel>
            <Tabs
              label={t.parts}
              tabs={[
                {
                  id: 'objects',
                  title: t.diffObjects,
                  show: () => <Difference revision={data} scope="objects" />,
                },
                { id: 'xds', title: t.diffXds, show: () => <Difference revision={data} scope="xds" /> },
                {
                  id: 'refusals',
                  title: open > 0 ? `${t.refusals} · ${open}` : t.refusals,
                  show: () => <Refusals of={data.refusals} />,
                },
              ]}
            />
          </>
        )}
      </Loaded>
    </Page>
  )
}

function Difference({ revision, scope }: { revision: Revision; scope: 'objects' | 'xds' }) {
  const t = useTexts(T)
  const [search, setSearch] = useAddress()
  const revisions = useList<Revision>('/revisions', { limit: 100 })
  const others = (revisions.data?.items ?? []).filter(each => each.id !== revision.id)
  const diff = useApi<RevisionDiff>(`/revisions/${revision.id}/diff`, { base: search.base, scope })
  return (
    <div className="stack">
      <div className="row">
        <SelectField
          label={t.base}
          w={260}
          searchable
          value={search.base ?? ''}
          data={[
            { value: '', label: t.parent },
            ...others.map(each => ({ value: each.id, label: `${each.id} ${each.reason || each.author}` })),
          ]}
          onChange={base => setSearch({ base })}
        />
      </div>
      <Loaded query={diff}>
        {data =>
          data.objects.length + data.resources.length + data.types.length === 0 ? (
            <Notice tone="note">{t.noDifference}</Notice>
          ) : scope === 'objects' ? (
            <ObjectChanges objects={data.objects} />
          ) : (
            <>
              <TypeChanges types={data.types} />
              <Resources resources={data.resources} />
            </>
          )
        }
      </Loaded>
    </div>
  )
}

function Refusals({ of }: { of: readonly Refusal[] }) {
  const t = useTexts(T)
  if (of.length === 0) return <Notice tone="good">{t.noRefusals}</Notice>
  return (
    <div className="stack">
      {of.map(refusal => (
        <Notice
          key={`${refusal.at} ${refusal.type} ${refusal.text}`}
          tone={refusal.until ? 'idle' : 'bad'}
          title={
            <>
              {refusal.type} · <Age at={refusal.at} ago /> {refusal.until && `· ${t.over}`}
            </>
          }
        >
          <div className="mono" lang="en" style={{ overflowWrap: 'anywhere', margin: '4px 0' }}>
            {refusal.text}
          </div>
          <Facts
            of={[
              [
                t.documents,
                refusal.origins.map(origin => (
                  <div key={origin}>
                    <Origin text={origin} />
                  </div>
                )),
              ],
              [t.proxies, <Chips key="p" of={refusal.proxies} />],
              [
                t.serving,
                <span key="s" lang="en">
                  {refusal.serving}
                </span>,
              ],
            ]}
          />
        </Notice>
      ))}
    </div>
  )
}

function Actions({ revision }: { revision: Revision }) {
  const t = useTexts(T)
  const preview = usePreview()
  const go = useGo()
  const denied = usePermission('operator')
  const common = useCommon()
  const me = useMe()
  const off = writesNowhere(me) ? common.writesOff(me.owner ?? '') : undefined
  const pin = useMutation({
    mutationFn: () =>
      send(`/revisions/${revision.id}/${revision.pinned ? 'unpin' : 'pin'}`, { method: 'POST' }),
    onSettled: () => queries.invalidateQueries({ queryKey: ['revisions'] }),
  })
  return (
    <>
      {pin.error && <ErrorCard error={pin.error} />}
      <CliButton command={`isthmus revision show ${revision.id}`} />
      <Act
        why={denied}
        loading={pin.isPending}
        leftSection={revision.pinned ? <IconPinnedOff size={14} /> : <IconPin size={14} />}
        title={t.pinTip}
        onClick={() => pin.mutate()}
      >
        {revision.pinned ? t.unpin : t.pin}
      </Act>
      <Act
        why={denied ?? (revision.current ? t.isCurrent : off)}
        onClick={() =>
          preview({
            title: t.rollbackTitle(revision.id),
            cli: `isthmus rollback ${revision.id}`,
            write: { method: 'POST', path: `/revisions/${revision.id}/rollback` },
            done: report => report.revision && go(`/revisions/${report.revision}`),
          })
        }
      >
        {t.rollback}
      </Act>
    </>
  )
}
