import { useList } from '../../api/hooks'
import type { Document, Source } from '../../api/types'
import { useGo } from '../../app/location'
import { useTexts } from '../../i18n'
import { useFormat } from '../../i18n/format'
import { A } from '../../ui/A'
import { Age } from '../../ui/Age'
import { Act, Page } from '../../ui/basics'
import { type Column, ResourceTable } from '../../ui/ResourceTable'
import { StateOf } from '../../ui/Status'
import { T } from './texts'

export default function Registries() {
  const t = useTexts(T)
  const go = useGo()
  const format = useFormat()
  const sources = useList<Source>('/sources')
  const source = ({ metadata }: Document) => {
    const full = `${metadata.namespace}/${metadata.name}`
    return sources.data?.items.find(each => each.name === full || each.name === `registry:${full}`)
  }
  const columns: Column<Document>[] = [
    {
      id: 'name',
      title: t.name,
      sort: 'name',
      cell: ({ metadata }) => (
        <A
          to={`/registries/${metadata.namespace}/${metadata.name}`}
        >{`${metadata.namespace}/${metadata.name}`}</A>
      ),
    },
    { id: 'type', title: t.type, tight: true, cell: document => source(document)?.kind ?? typeOf(document) },
    {
      id: 'addresses',
      title: t.addresses,
      cell: document => (
        <span className="mono">
          {source(document)?.target ?? (document.spec?.addresses ?? []).join(', ')}
        </span>
      ),
    },
    {
      id: 'state',
      title: t.state,
      tight: true,
      cell: document => <StateOf state={source(document)?.state ?? 'unknown'} />,
    },
    { id: 'reason', title: t.reason, cell: document => <span lang="en">{source(document)?.reason}</span> },
    {
      id: 'services',
      title: t.services,
      align: 'right',
      cell: document => {
        const objects = source(document)?.objects
        return objects === undefined ? '–' : format.number(objects)
      },
    },
    {
      id: 'fresh',
      title: t.fresh,
      align: 'right',
      tight: true,
      cell: document => <Age at={source(document)?.freshAt} ago />,
    },
  ]
  return (
    <Page title={t.title} actions={<Act onClick={() => go('/wizards/registry')}>{t.connect}</Act>}>
      <ResourceTable
        from="documents"
        label={t.title}
        path={ns => (ns ? `/namespaces/${encodeURIComponent(ns)}/registries` : '/registries')}
        columns={columns}
        rowKey={({ metadata }) => `${metadata.namespace}/${metadata.name}`}
        cli="isthmus registry list"
        every={15_000}
        empty={{
          text: t.emptyText,
          action: (
            <Act variant="filled" onClick={() => go('/wizards/registry')}>
              {t.connect}
            </Act>
          ),
        }}
      />
    </Page>
  )
}

const TYPES = ['nacos', 'eureka', 'zookeeper', 'consul']

/** The kind of registry is the one member of its spec that is named so. */
function typeOf({ spec }: Document): string {
  return spec?.type ?? TYPES.find(type => spec?.[type]) ?? '–'
}
