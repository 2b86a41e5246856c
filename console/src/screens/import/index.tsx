import { useMutation } from '@tanstack/react-query'
import { useRef, useState } from 'react'
import { send } from '../../api/http'
import { objectHref } from '../../api/kinds'
import { usePermission } from '../../api/me'
import type { ObjectChange } from '../../api/types'
import { useAddress, useScope } from '../../app/location'
import { useTexts } from '../../i18n'
import { A } from '../../ui/A'
import { Act, Notice, Page, Panel } from '../../ui/basics'
import { CodeEditor } from '../../ui/CodeEditor'
import { AreaField, SelectField } from '../../ui/form'
import { ErrorCard } from '../../ui/states'
import { BackendField, GatewayField, useApply } from '../wizards/common'
import type { Backend } from '../wizards/documents'
import { T as WIZARDS } from '../wizards/texts'
import { type Line, Report, Take } from './parts'
import { pieces } from './pieces'
import { T } from './texts'

interface Imported {
  yaml: string
  report: Line[]
}

const FORMATS = [
  { value: 'httpproxy', label: 'Contour HTTPProxy' },
  { value: 'ingress', label: 'Ingress' },
  { value: 'openapi', label: 'OpenAPI' },
]

export default function ImportScreen() {
  const t = useTexts(T)
  const w = useTexts(WIZARDS)
  const [search, setSearch] = useAddress()
  const scope = useScope()
  const format = FORMATS.find(each => each.value === search.format)?.value ?? 'httpproxy'
  const [text, setText] = useState('')
  const [gateway, setGateway] = useState('')
  const [service, setService] = useState<Backend>()
  const file = useRef<HTMLInputElement>(null)
  const [yaml, setYaml] = useState('')
  const [written, setWritten] = useState<ObjectChange[]>([])
  const apply = useApply()
  const taken = pieces(yaml)
  const namespaces = new Set(taken.map(piece => piece.namespace))
  const namespace = namespaces.size === 1 ? ([...namespaces][0] ?? scope) : scope
  const denied = usePermission('editor', namespace || undefined, true)
  const convert = useMutation({
    mutationFn: async () => {
      const query =
        format === 'openapi' && service
          ? {
              gateway,
              namespace: service.namespace,
              service: `${service.kind}/${service.namespace}/${service.name}:${service.port}`,
            }
          : { gateway }
      return (await send<Imported>(`/import/${format}`, { method: 'POST', query, body: text })).data
    },
    onSuccess: made => {
      setYaml(made.yaml)
      setWritten([])
    },
  })
  const missing = [
    !text.trim() && w.missing(w.source),
    format === 'openapi' && !gateway && w.missing(w.gateway),
    format === 'openapi' && !service && t.serviceMissing,
  ].find(Boolean)
  return (
    <Page title={w.import}>
      <p className="dim">{w.importIntro}</p>
      <Panel title={w.source}>
        <div className="stack">
          <div className="row wrap top">
            <SelectField
              label={w.format}
              value={format}
              data={FORMATS}
              onChange={next => setSearch({ format: next })}
            />
            <GatewayField
              label={t.gateway}
              placeholder={format === 'openapi' ? undefined : t.gatewayHint}
              required={format === 'openapi'}
              value={gateway}
              onChange={setGateway}
            />
          </div>
          {format === 'openapi' && <BackendField label={t.service} value={service} onChange={setService} />}
          <AreaField
            label={w.source}
            minRows={8}
            maxRows={20}
            value={text}
            onChange={setText}
            styles={{ input: { fontFamily: 'var(--mono)' } }}
          />
          <div className="row wrap">
            <Act
              variant="filled"
              loading={convert.isPending}
              why={missing || undefined}
              onClick={() => convert.mutate()}
            >
              {w.convert}
            </Act>
            <Act onClick={() => file.current?.click()}>{w.file}</Act>
            <input
              ref={file}
              hidden
              type="file"
              accept=".yaml,.yml,.json"
              aria-label={w.file}
              onChange={async event => {
                const input = event.currentTarget
                setText((await input.files?.[0]?.text()) ?? '')
                // The same file again is a change, too.
                input.value = ''
              }}
            />
          </div>
          {convert.error && <ErrorCard error={convert.error} />}
        </div>
      </Panel>
      {convert.data && (
        <>
          <Report lines={convert.data.report} />
          {convert.data.yaml ? (
            <>
              <Take all={pieces(convert.data.yaml)} text={yaml} onChange={setYaml} />
              <Panel
                title={w.result}
                actions={
                  <Act
                    variant="filled"
                    why={denied ?? (taken.length > 0 ? undefined : t.nothingTaken)}
                    onClick={() => apply(w.import, yaml, report => setWritten(report.objects))}
                  >
                    {w.preview}
                  </Act>
                }
              >
                <p className="dim">{w.edit}</p>
                <CodeEditor label={w.result} value={yaml} onChange={setYaml} validate />
              </Panel>
            </>
          ) : (
            <Notice tone="warn">{t.nothingMade}</Notice>
          )}
          {written.length > 0 && (
            <Panel title={t.written}>
              <p className="dim">{t.writtenText}</p>
              <ul className="plain">
                {written.map(object => (
                  <li key={`${object.kind} ${object.namespace}/${object.name}`}>
                    {object.kind}{' '}
                    <A to={objectHref(object) ?? '/documents'}>{`${object.namespace}/${object.name}`}</A>
                  </li>
                ))}
              </ul>
            </Panel>
          )}
        </>
      )}
    </Page>
  )
}
