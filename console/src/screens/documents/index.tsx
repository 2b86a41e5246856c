import { useState } from 'react'
import { byPlural, KINDS, kindInfo, objectHref } from '../../api/kinds'
import { usePermission } from '../../api/me'
import type { Document } from '../../api/types'
import { useAddress, useGo, useScope } from '../../app/location'
import { useParams } from '../../app/params'
import { useTexts } from '../../i18n'
import { ObjectState } from '../../objects/conditions'
import { usePreview } from '../../preview'
import { A } from '../../ui/A'
import { Age } from '../../ui/Age'
import { Act, Chips, Page } from '../../ui/basics'
import { CodeEditor } from '../../ui/CodeEditor'
import { Choice, SelectField } from '../../ui/form'
import { Dialog } from '../../ui/overlays'
import { type Column, ResourceTable } from '../../ui/ResourceTable'
import { T } from './texts'

/** Kinds of policies, which have an entry of the rail of their own. */
const POLICIES = ['accesspolicies', 'peerpolicies', 'backendtlspolicies', 'referencegrants', 'sidecarscopes']

export default function Documents() {
  const t = useTexts(T)
  const { plural = 'gatewayclasses' } = useParams()
  const go = useGo()
  const [search] = useAddress()
  const [writing, setWriting] = useState(search.new !== undefined)
  const denied = usePermission('editor', useScope() || undefined, true)
  const info = byPlural(plural) ?? kindInfo('GatewayClass')
  if (!info) return null
  const policies = POLICIES.includes(plural)
  const title = policies ? t.policies : plural === 'lanegroups' ? t.lanes : t.title
  const columns: Column<Document>[] = [
    {
      id: 'name',
      title: t.name,
      sort: 'name',
      cell: ({ metadata }) => (
        <A
          to={objectHref({ kind: info.kind, namespace: metadata.namespace ?? '', name: metadata.name }) ?? ''}
        >
          {metadata.name}
        </A>
      ),
    },
    ...(info.namespaced
      ? [
          {
            id: 'namespace',
            title: t.namespace,
            sort: 'namespace',
            cell: ({ metadata }: Document) => metadata.namespace,
          },
        ]
      : []),
    {
      id: 'labels',
      title: t.labels,
      cell: ({ metadata }) => (
        <Chips of={Object.entries(metadata.labels ?? {}).map(([key, value]) => `${key}=${value}`)} />
      ),
    },
    { id: 'state', title: t.state, tight: true, cell: document => <ObjectState document={document} /> },
    {
      id: 'age',
      title: t.age,
      align: 'right',
      tight: true,
      cell: ({ metadata }) => <Age at={metadata.creationTimestamp} />,
    },
  ]
  const to = (next: string) => go(`/documents/${next}`)
  return (
    <Page
      title={title}
      actions={
        <Act why={denied} onClick={() => setWriting(true)}>
          {t.create}
        </Act>
      }
    >
      <ResourceTable
        key={plural}
        from="documents"
        label={info.kind}
        path={ns =>
          ns && info.namespaced ? `/namespaces/${encodeURIComponent(ns)}/${info.plural}` : `/${info.plural}`
        }
        columns={columns}
        rowKey={({ metadata }) => `${metadata.namespace}/${metadata.name}`}
        searchLabel={t.search}
        defaultSort="name"
        cli={`isthmus get ${info.plural}`}
        actions={
          policies ? (
            <Choice
              label={t.kind}
              value={plural}
              options={POLICIES.map(value => ({ value, label: byPlural(value)?.kind ?? value }))}
              onChange={to}
            />
          ) : (
            <SelectField
              aria-label={t.kind}
              w={200}
              searchable
              value={info.plural}
              data={KINDS.filter(each => each.kind !== 'Service').map(each => ({
                value: each.plural,
                label: each.kind,
              }))}
              onChange={to}
            />
          )
        }
        empty={{ text: t.emptyText }}
      />
      {writing && !denied && <NewDocument start={skeleton(info)} close={() => setWriting(false)} />}
    </Page>
  )
}

function skeleton(info: { kind: string; apiVersion: string; namespaced: boolean }): string {
  const namespace = info.namespaced ? '  namespace: default\n' : ''
  return `apiVersion: ${info.apiVersion}\nkind: ${info.kind}\nmetadata:\n${namespace}  name: example\nspec: {}\n`
}

/** Any documents, applied together. */
function NewDocument({ start, close }: { start: string; close: () => void }) {
  const t = useTexts(T)
  const preview = usePreview()
  const [text, setText] = useState(start)
  const kind = /^kind:\s*(\w+)/m.exec(text)?.[1]
  return (
    <Dialog title={t.create} size={920} onClose={close}>
      <div className="stack">
        <span className="dim">{t.createText}</span>
        <CodeEditor value={text} onChange={setText} label={t.documents} kind={kind} validate />
        <div className="row" style={{ justifyContent: 'flex-end' }}>
          <Act
            variant="filled"
            onClick={() =>
              preview({
                title: t.apply,
                cli: `isthmus apply -f - <<'EOF'\n${text.trimEnd()}\nEOF`,
                write: { method: 'POST', path: '/apply', body: text },
                done: close,
              })
            }
          >
            {t.preview}
          </Act>
        </div>
      </div>
    </Dialog>
  )
}
