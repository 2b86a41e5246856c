// What wizards share: the answers on the left, what they come to on the right, the preview at the end.
import './wizards.css'

import { type ReactNode, useState } from 'react'
import { useList } from '../../api/hooks'
import { usePermission } from '../../api/me'
import type { ChangeReport, Document, ServiceRow } from '../../api/types'
import { useTexts } from '../../i18n'
import { useCommon } from '../../i18n/common'
import { usePreview } from '../../preview'
import { Act, CopyButton, Notice, Page, Panel } from '../../ui/basics'
import { CodeEditor } from '../../ui/CodeEditor'
import { AreaField, NumberField, SelectField, TextField } from '../../ui/form'
import { addresses, type Backend, yamlOf } from './documents'
import { T } from './texts'

export function cliApply(yaml: string): string {
  return `isthmus apply -f - <<'EOF'\n${yaml.trimEnd()}\nEOF`
}

/** Opens the preview of applying documents together, as one revision. */
export function useApply() {
  const preview = usePreview()
  return (title: string, yaml: string, done?: (report: ChangeReport) => void) =>
    preview({
      title,
      cli: cliApply(yaml),
      write: { method: 'POST', path: '/apply', body: yaml },
      done,
    })
}

/** Answers and what they come to. */
export function Wizard(props: {
  title: string
  intro?: string
  /** Inside of another page. */
  inner?: boolean
  /** Where the rights to write are needed. */
  namespace: string
  documents: Document[]
  /** What is missing still; the preview waits for it. */
  missing?: string
  done?: (report: ChangeReport) => void
  children: ReactNode
}) {
  const { title, intro, inner, namespace, documents, missing, done, children } = props
  const t = useTexts(T)
  const common = useCommon()
  const apply = useApply()
  const denied = usePermission('editor', namespace || undefined, true)
  const yaml = documents.length > 0 && !missing ? yamlOf(documents) : ''
  const body = (
    <div className="wizard">
      <form
        className="stack"
        onSubmit={event => {
          event.preventDefault()
          if (!denied && !missing) apply(title, yaml, done)
        }}
      >
        {children}
        <div className="row wrap">
          <Act variant="filled" type="submit" why={denied ?? missing}>
            {t.preview}
          </Act>
          {(denied ?? missing) && <span className="dim">{denied ?? missing}</span>}
        </div>
      </form>
      <Panel
        title={t.result}
        actions={
          yaml && (
            <>
              <CopyButton text={yaml} label={common.copyYaml} />
              <CopyButton text={cliApply(yaml)} label={common.copyCli} />
            </>
          )
        }
      >
        {yaml ? (
          <CodeEditor label={t.result} value={yaml} readOnly />
        ) : (
          <Notice tone="note">{missing ?? t.nothingYet}</Notice>
        )}
      </Panel>
    </div>
  )
  if (inner) return body
  return (
    <Page title={title}>
      {intro && <p className="dim">{intro}</p>}
      {body}
    </Page>
  )
}

const NAME = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/

export function isName(text: string): boolean {
  return text.length <= 253 && NAME.test(text)
}

export function NameField(props: {
  label: string
  value: string
  onChange: (value: string) => void
  description?: string
}) {
  const t = useTexts(T)
  const { value } = props
  return (
    <TextField
      {...props}
      required
      autoComplete="off"
      spellCheck={false}
      error={value && !isName(value) ? t.badName : undefined}
    />
  )
}

/** Addresses with ports, as many as one likes; what is none is told at the field. */
export function AddressesField(props: { label: string; value: string; onChange: (value: string) => void }) {
  const t = useTexts(T)
  const { bad } = addresses(props.value)
  return (
    <AreaField
      {...props}
      description={t.addressesHint}
      required
      minRows={1}
      autoComplete="off"
      spellCheck={false}
      error={bad.length > 0 ? t.badAddress(bad.join(' ')) : undefined}
    />
  )
}

/** A service that is there, with one of its ports. */
export function BackendField(props: {
  label: string
  value: Backend | undefined
  onChange: (backend: Backend) => void
}) {
  const { label, value, onChange } = props
  const t = useTexts(T)
  const [q, setQ] = useState('')
  const found = useList<ServiceRow>('/services', { q: q || undefined, limit: 50 })
  const rows = found.data?.items ?? []
  const key = (row: { kind: string; namespace: string; name: string }) =>
    `${row.kind}/${row.namespace}/${row.name}`
  const names = rows.map(row => ({ value: key(row), label: `${row.namespace}/${row.name}` }))
  const chosen = value && key(value)
  if (value && !names.some(name => name.value === chosen)) {
    names.unshift({ value: chosen ?? '', label: `${value.namespace}/${value.name}` })
  }
  const ports = rows.find(row => key(row) === chosen)?.ports ?? []
  return (
    <div className="row wrap top">
      <SelectField
        label={label}
        required
        searchable
        onSearchChange={text => setQ(names.some(name => name.label === text) ? '' : text)}
        nothingFoundMessage={t.noService}
        value={chosen ?? null}
        data={names}
        style={{ flex: '1 1 240px' }}
        onChange={next => {
          const row = rows.find(each => key(each) === next)
          if (!row) return
          const { kind, namespace, name } = row
          onChange({
            kind: kind === 'MeshService' ? 'MeshService' : 'Service',
            namespace,
            name,
            port: row.ports[0] ?? 80,
          })
        }}
      />
      {ports.length > 1 ? (
        <SelectField
          label={t.port}
          w={110}
          value={String(value?.port ?? '')}
          data={ports.map(String)}
          onChange={port => value && onChange({ ...value, port: Number(port) })}
        />
      ) : (
        <NumberField
          label={t.port}
          w={110}
          min={1}
          max={65_535}
          value={value?.port ?? ''}
          onChange={port => value && port && onChange({ ...value, port })}
        />
      )}
    </div>
  )
}

/** A Gateway that is there. */
export function GatewayField(props: {
  label: string
  placeholder?: string
  required?: boolean
  value: string
  onChange: (value: string, gateway: Document | undefined) => void
}) {
  const { value, onChange, required = true, ...rest } = props
  const gateways = useList<Document>('/gateways', { limit: 1000 })
  const rows = gateways.data?.items ?? []
  const name = (row: Document) => `${row.metadata.namespace}/${row.metadata.name}`
  return (
    <SelectField
      {...rest}
      required={required}
      clearable={!required}
      searchable
      value={value || null}
      data={rows.map(name)}
      onChange={next =>
        onChange(
          next,
          rows.find(row => name(row) === next),
        )
      }
    />
  )
}

export function split(name: string): { namespace: string; name: string } {
  const [namespace = '', rest = ''] = name.split('/')
  return { namespace, name: rest }
}

export function hostsOf(text: string): string[] {
  return text.split(/[\s,]+/).filter(Boolean)
}
