import { byPlural, objectHref } from '../../api/kinds'
import type { Document } from '../../api/types'
import { useAddress, useGo } from '../../app/location'
import { useTexts } from '../../i18n'
import { useFormat } from '../../i18n/format'
import { ObjectState } from '../../objects/conditions'
import { A } from '../../ui/A'
import { Act, Chips, Page } from '../../ui/basics'
import { Choice } from '../../ui/form'
import { type Column, ResourceTable } from '../../ui/ResourceTable'
import { matchText, parts, type Rule, refText, specOf } from './model'
import { T } from './texts'

const PLURALS = ['httproutes', 'grpcroutes', 'tlsroutes', 'tcproutes', 'udproutes', 'ingresses']

export default function Routes() {
  const t = useTexts(T)
  const format = useFormat()
  const go = useGo()
  const [search, setSearch] = useAddress()
  const plural =
    byPlural(search.kind ?? '') && PLURALS.includes(search.kind ?? '') ? (search.kind ?? '') : 'httproutes'
  const columns: Column<Document>[] = [
    {
      id: 'name',
      title: t.name,
      sort: 'name',
      cell: ({ kind, metadata }) => (
        <A to={objectHref({ kind, namespace: metadata.namespace ?? '', name: metadata.name }) ?? ''}>
          {metadata.name}
        </A>
      ),
    },
    { id: 'namespace', title: t.namespace, sort: 'namespace', cell: ({ metadata }) => metadata.namespace },
    {
      id: 'hosts',
      title: t.hosts,
      cell: document => {
        const hosts = specOf(document).hostnames ?? hostsOfIngress(document)
        return hosts.length > 0 ? <Chips of={hosts} /> : <span className="dim">{t.anyHost}</span>
      },
    },
    {
      id: 'matches',
      title: t.matches,
      cell: document => (
        <Lines
          of={(specOf(document).rules ?? []).map(
            rule => (rule.matches ?? []).map(matchText).join('  |  ') || matchOfIngress(rule) || t.everything,
          )}
        />
      ),
    },
    {
      id: 'backends',
      title: t.backends,
      cell: document => (
        <Lines
          of={(specOf(document).rules ?? []).map(rule => {
            const refs = rule.backendRefs ?? []
            if (refs.length === 0)
              return (rule.filters ?? []).some(f => f.type === 'RequestRedirect') ? t.redirect : '–'
            if (refs.length === 1 && refs[0]) return refText(refs[0], document.metadata.namespace)
            const shares = parts(refs)
            return refs
              .map(
                (ref, index) =>
                  `${refText(ref, document.metadata.namespace)} ${format.percent(shares[index])}`,
              )
              .join(', ')
          })}
        />
      ),
    },
    {
      id: 'parents',
      title: t.parents,
      cell: document => (
        <Chips
          of={(specOf(document).parentRefs ?? []).map(ref => refText(ref, document.metadata.namespace))}
        />
      ),
    },
    { id: 'state', title: t.state, tight: true, cell: document => <ObjectState document={document} /> },
  ]
  return (
    <Page title={t.title} actions={<Act onClick={() => go('/wizards/publish')}>{t.create}</Act>}>
      <ResourceTable
        key={plural}
        from="documents"
        label={t.title}
        path={ns => (ns ? `/namespaces/${encodeURIComponent(ns)}/${plural}` : `/${plural}`)}
        columns={columns}
        rowKey={({ metadata }) => `${metadata.namespace}/${metadata.name}`}
        searchLabel={t.search}
        defaultSort="name"
        cli={`isthmus get ${plural}`}
        actions={
          <Choice
            label={t.kind}
            value={plural}
            options={PLURALS.map(value => ({ value, label: byPlural(value)?.kind ?? value }))}
            onChange={kind =>
              setSearch({ kind: kind === 'httproutes' ? undefined : kind, cursor: undefined })
            }
          />
        }
        empty={{ text: t.emptyText, action: <Act onClick={() => go('/wizards/publish')}>{t.create}</Act> }}
      />
    </Page>
  )
}

/** A line for each rule, the first four of them. */
function Lines({ of }: { of: string[] }) {
  const t = useTexts(T)
  return (
    <div>
      {of.slice(0, 4).map((line, index) => (
        <div key={index} className="mono" style={{ overflowWrap: 'anywhere' }}>
          {line}
        </div>
      ))}
      {of.length > 4 && <div className="dim">{t.more(of.length - 4)}</div>}
    </div>
  )
}

function hostsOfIngress({ spec }: Document): string[] {
  const rules = (spec?.rules ?? []) as { host?: string }[]
  return [...new Set(rules.flatMap(rule => (rule.host ? [rule.host] : [])))]
}

function matchOfIngress(rule: Rule & { http?: { paths?: { path?: string }[] } }): string {
  return (rule.http?.paths ?? []).map(each => each.path ?? '/').join('  |  ')
}
