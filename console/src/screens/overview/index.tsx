import { useApi, useList } from '../../api/hooks'
import type { Document, FindingView, List, Proxy, Revision, Series, Source } from '../../api/types'
import { useGo, useScope } from '../../app/location'
import { useTexts } from '../../i18n'
import { useFormat, useNow } from '../../i18n/format'
import { A } from '../../ui/A'
import { Age } from '../../ui/Age'
import { Act, Bar, Page, Panel, Stat } from '../../ui/basics'
import { Sparkline } from '../../ui/Chart'
import { FindingList } from '../../ui/findings'
import { StateOf, Status, type Tone } from '../../ui/Status'
import { Loaded } from '../../ui/states'
import { Table } from '../../ui/Table'
import { certificatesOf, daysLeft, Expiry, SOON } from '../domains/certificates'
import { T } from './texts'

export default function Overview() {
  const t = useTexts(T)
  const ns = useScope()
  const gateways = useList<Document>(ns ? `/namespaces/${ns}/gateways` : '/gateways', { limit: 1 })
  return (
    <Page title={t.title}>
      {gateways.data?.total === 0 && <Begin />}
      <Numbers />
      <div className="grid">
        <div className="stack">
          <Problems />
          <Routes sort="-rate" />
        </div>
        <div className="stack">
          <Proxies />
          <Revisions />
          <Services />
        </div>
        <div className="stack">
          <Sources />
          <Routes sort="-errors" />
          <Certificates />
        </div>
      </div>
    </Page>
  )
}

function Begin() {
  const t = useTexts(T)
  const go = useGo()
  return (
    <Panel title={t.start}>
      <div className="stack">
        <span>{t.startText}</span>
        <ol style={{ margin: 0, paddingLeft: 20 }}>
          <li>{t.step1}</li>
          <li>{t.step2}</li>
          <li>{t.step3}</li>
        </ol>
        <span>
          <Act variant="filled" onClick={() => go('/wizards/publish')}>
            {t.begin}
          </Act>
        </span>
      </div>
    </Panel>
  )
}

function Numbers() {
  const t = useTexts(T)
  const format = useFormat()
  const { data } = useApi<Series>('/traffic/series', {}, { every: 10_000 })
  const last = (values?: (number | null)[]) => values?.findLast(value => value !== null)
  const columns: [string, (number | null)[] | undefined, string][] = [
    [t.requests, data?.rate, format.rate(last(data?.rate))],
    [t.errors, data?.status5xx, format.rate(last(data?.status5xx))],
    [t.latency, data?.p99, format.ms(last(data?.p99))],
  ]
  return (
    <div className="grid" style={{ gridTemplateColumns: 'repeat(auto-fit, minmax(min(100%, 220px), 1fr))' }}>
      {columns.map(([name, values, value]) => (
        <Panel key={name}>
          <Stat name={`${name} · ${t.last15}`} value={value} />
          <Sparkline values={values ?? []} height={34} />
        </Panel>
      ))}
    </div>
  )
}

const SEVERITIES = ['error', 'warning', 'info']

function worstFirst(findings: FindingView[]): FindingView[] {
  return findings.toSorted((a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity))
}

function Problems() {
  const t = useTexts(T)
  const ns = useScope()
  const problems = useList<FindingView>('/problems', { namespace: ns, limit: 200 })
  return (
    <Panel
      title={problems.data ? `${t.problems} · ${problems.data.total}` : t.problems}
      actions={<A to="/problems">{t.all}</A>}
    >
      <Loaded query={problems}>
        {({ items }) =>
          items.length > 0 ? (
            <FindingList findings={worstFirst(items).slice(0, 5)} />
          ) : (
            <Status tone="good">{t.noProblems}</Status>
          )
        }
      </Loaded>
    </Panel>
  )
}

function Proxies() {
  const t = useTexts(T)
  const ns = useScope()
  const proxies = useList<Proxy>('/proxies', { namespace: ns, limit: 1000 })
  return (
    <Panel title={t.proxies} actions={<A to="/proxies">{t.all}</A>}>
      <Loaded query={proxies}>
        {({ items, total }) => {
          const refused = items.filter(proxy => proxy.types.some(type => type.state === 'nack')).length
          const live = items.filter(proxy => proxy.inStep).length
          const parts: [Tone, number, string, string][] = [
            ['good', live, t.inStep, 'ok'],
            ['warn', items.length - live - refused, t.behind, 'pending'],
            ['bad', refused, t.refused, 'nack'],
          ]
          if (total === 0) return <span className="dim">{t.none}</span>
          return (
            <div className="stack">
              <Stat name={t.proxiesOf(total)} value={`${live}/${items.length}`} note={t.inStep} />
              <Bar parts={parts.map(([tone, count]) => [tone, count])} label={t.proxies} />
              <span className="row wrap" style={{ gap: 16 }}>
                {parts.map(([tone, count, word, state]) => (
                  <A key={word} to={`/proxies?state=${state}`}>
                    <Status tone={count > 0 ? tone : 'idle'}>
                      {count} {word}
                    </Status>
                  </A>
                ))}
              </span>
            </div>
          )
        }}
      </Loaded>
    </Panel>
  )
}

function Sources() {
  const t = useTexts(T)
  const sources = useList<Source>('/sources')
  return (
    <Panel title={t.sources} flush>
      <Loaded query={sources}>
        {({ items }) => (
          <Table
            label={t.sources}
            rows={items}
            rowKey={source => source.name}
            columns={[
              {
                id: 'name',
                title: '',
                cut: true,
                cell: source => (
                  <>
                    {source.name.includes('/') ? (
                      <A to={`/registries/${source.name}`}>{source.name}</A>
                    ) : (
                      source.name
                    )}
                    <div className="dim cut" title={source.reason || source.target}>
                      {source.reason || source.target}
                    </div>
                  </>
                ),
              },
              { id: 'state', title: '', tight: true, cell: source => <StateOf state={source.state} /> },
              {
                id: 'age',
                title: '',
                align: 'right',
                tight: true,
                cell: source => <Age at={source.freshAt} />,
              },
            ]}
          />
        )}
      </Loaded>
    </Panel>
  )
}

function Revisions() {
  const t = useTexts(T)
  const revisions = useList<Revision>('/revisions', { limit: 10 })
  return (
    <Panel title={t.revisions} actions={<A to="/revisions">{t.all}</A>} flush>
      <Loaded query={revisions}>
        {({ items }) => (
          <Table
            label={t.revisions}
            rows={items}
            rowKey={revision => revision.id}
            columns={[
              {
                id: 'id',
                title: '',
                tight: true,
                cell: revision => <A to={`/revisions/${revision.id}`}>{revision.id}</A>,
              },
              {
                id: 'what',
                title: '',
                cut: true,
                cell: ({ reason, author, objects }) => (
                  <>
                    {reason || (
                      <span className="num">{t.change(objects.added, objects.changed, objects.removed)}</span>
                    )}{' '}
                    <span className="dim">{t.by(author)}</span>
                  </>
                ),
              },
              {
                id: 'state',
                title: '',
                tight: true,
                cell: ({ current, live, refusals }) =>
                  refusals.some(refusal => !refusal.until) ? (
                    <StateOf state="refused" />
                  ) : current ? (
                    <Status tone={!live || live.live >= live.total ? 'good' : 'note'}>
                      {live ? `${live.live}/${live.total}` : t.current}
                    </Status>
                  ) : null,
              },
              {
                id: 'age',
                title: '',
                align: 'right',
                tight: true,
                cell: revision => <Age at={revision.time} />,
              },
            ]}
          />
        )}
      </Loaded>
    </Panel>
  )
}

interface Busy {
  namespace: string
  name: string
  rate?: number
  errors?: number
  p99?: number
}

/** Services or routes, those first that somebody should look at. */
function Ranked(props: {
  title: string
  of: '/services' | '/traffic/routes'
  name: string
  sort: '-rate' | '-errors'
  href: (row: Busy) => string
}) {
  const { title, of, name, sort, href } = props
  const t = useTexts(T)
  const format = useFormat()
  const ns = useScope()
  const query = useList<Busy>(of, { namespace: ns, sort, limit: 6 }, { every: 15_000 })
  const failing = sort === '-errors'
  const seen = ({ items }: List<Busy>) =>
    items.filter(row => (failing ? (row.errors ?? 0) > 0 : row.rate !== undefined))
  return (
    <Panel
      title={title}
      actions={<A to={of === '/services' ? `/services?sort=${sort}` : '/routes'}>{t.all}</A>}
      flush
    >
      <Loaded query={query}>
        {data => (
          <Table
            label={title}
            rows={seen(data)}
            rowKey={row => `${row.namespace}/${row.name}`}
            empty={<span className="dim">{failing ? t.noErrors : t.noTraffic}</span>}
            columns={[
              {
                id: 'name',
                title: name,
                cell: row => (
                  <A to={href(row)}>
                    {row.namespace}/{row.name}
                  </A>
                ),
              },
              { id: 'rate', title: t.rate, align: 'right', tight: true, cell: row => format.rate(row.rate) },
              {
                id: 'errors',
                title: t.errorPart,
                align: 'right',
                tight: true,
                cell: row => (
                  <span className={(row.errors ?? 0) > 0.01 ? 'tone-bad' : undefined}>
                    {format.percent(row.errors)}
                  </span>
                ),
              },
              { id: 'p99', title: t.latency, align: 'right', tight: true, cell: row => format.ms(row.p99) },
            ]}
          />
        )}
      </Loaded>
    </Panel>
  )
}

function Services() {
  const t = useTexts(T)
  const href = (row: Busy) => `/services/${row.namespace}/${encodeURIComponent(row.name)}`
  return <Ranked title={t.busiest} of="/services" name={t.service} sort="-rate" href={href} />
}

function Routes({ sort }: { sort: '-rate' | '-errors' }) {
  const t = useTexts(T)
  const title = sort === '-rate' ? t.busiestRoutes : t.worstRoutes
  // Of which kind it is, proxies do not say.
  const href = (row: Busy) => `/routes?q=${encodeURIComponent(row.name)}`
  return <Ranked title={title} of="/traffic/routes" name={t.route} sort={sort} href={href} />
}

/** Those that end within a month, and those that have ended. */
function Certificates() {
  const t = useTexts(T)
  const ns = useScope()
  const now = useNow()
  const secrets = useList<Document>('/secrets', { limit: 1000, namespace: ns || undefined })
  const soon = certificatesOf(secrets.data?.items ?? []).filter(one => daysLeft(one, now) < SOON)
  return (
    <Panel title={t.certificates} actions={<A to="/domains">{t.all}</A>} flush>
      <Loaded query={secrets}>
        {() => (
          <Table
            label={t.certificates}
            rows={soon.slice(0, 6)}
            rowKey={one => one.secret}
            empty={<span className="dim">{t.noCertificates}</span>}
            columns={[
              {
                id: 'secret',
                title: '',
                cut: true,
                cell: one => (
                  <>
                    <A to={`/documents/secrets/${one.secret}`}>{one.secret}</A>
                    <div className="dim cut">{one.hosts.join(', ')}</div>
                  </>
                ),
              },
              { id: 'end', title: '', align: 'right', tight: true, cell: one => <Expiry of={one} /> },
            ]}
          />
        )}
      </Loaded>
    </Panel>
  )
}
