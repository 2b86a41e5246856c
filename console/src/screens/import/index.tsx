import { useMutation } from '@tanstack/react-query'
import { useRef, useState } from 'react'
import { send } from '../../api/http'
import { usePermission } from '../../api/me'
import { useAddress, useScope } from '../../app/location'
import { useTexts } from '../../i18n'
import { Act, Page, Panel } from '../../ui/basics'
import { CodeEditor } from '../../ui/CodeEditor'
import { AreaField, SelectField } from '../../ui/form'
import { Status, type Tone } from '../../ui/Status'
import { ErrorCard } from '../../ui/states'
import { Table } from '../../ui/Table'
import { useApply } from '../wizards/common'
import { T } from '../wizards/texts'

interface Line {
  pointer: string
  what: 'mapped' | 'changed' | 'refused'
  text: string
}

interface Imported {
  yaml: string
  report: Line[]
}

const TONES: Record<Line['what'], Tone> = { mapped: 'good', changed: 'warn', refused: 'bad' }
const FORMATS = [
  { value: 'httpproxy', label: 'Contour HTTPProxy' },
  { value: 'ingress', label: 'Ingress' },
  { value: 'openapi', label: 'OpenAPI' },
]

export default function ImportScreen() {
  const t = useTexts(T)
  const [search, setSearch] = useAddress()
  const scope = useScope()
  const format = FORMATS.some(each => each.value === search.format)
    ? (search.format ?? 'httpproxy')
    : 'httpproxy'
  const [text, setText] = useState('')
  const file = useRef<HTMLInputElement>(null)
  const [yaml, setYaml] = useState('')
  const apply = useApply()
  const denied = usePermission('editor', scope || undefined, true)
  const convert = useMutation({
    mutationFn: async () => (await send<Imported>(`/import/${format}`, { method: 'POST', body: text })).data,
    onSuccess: made => setYaml(made.yaml),
  })
  return (
    <Page title={t.import}>
      <p className="dim">{t.importIntro}</p>
      <Panel title={t.source}>
        <div className="stack">
          <div className="row wrap">
            <SelectField
              label={t.format}
              value={format}
              data={FORMATS}
              onChange={next => setSearch({ format: next })}
            />
            <Act style={{ alignSelf: 'flex-end' }} onClick={() => file.current?.click()}>
              {t.file}
            </Act>
            <input
              ref={file}
              hidden
              type="file"
              accept=".yaml,.yml,.json"
              aria-label={t.file}
              onChange={async event => setText((await event.currentTarget.files?.[0]?.text()) ?? '')}
            />
          </div>
          <AreaField
            label={t.source}
            minRows={8}
            maxRows={20}
            value={text}
            onChange={setText}
            styles={{ input: { fontFamily: 'var(--mono)' } }}
          />
          <div className="row">
            <Act
              variant="filled"
              loading={convert.isPending}
              why={text.trim() ? undefined : t.missing(t.source)}
              onClick={() => convert.mutate()}
            >
              {t.convert}
            </Act>
          </div>
          {convert.error && <ErrorCard error={convert.error} />}
        </div>
      </Panel>
      {convert.data && (
        <>
          <Panel title={t.report} flush>
            <Table
              label={t.report}
              rows={convert.data.report}
              rowKey={(line, index) => `${index} ${line.pointer}`}
              columns={[
                {
                  id: 'what',
                  title: t.what,
                  tight: true,
                  cell: line => <Status tone={TONES[line.what]}>{t[line.what]}</Status>,
                },
                { id: 'place', title: t.place, cell: line => <span className="mono">{line.pointer}</span> },
                { id: 'text', title: t.text, cell: line => <span lang="en">{line.text}</span> },
              ]}
            />
          </Panel>
          <Panel
            title={t.result}
            actions={
              <Act
                variant="filled"
                why={denied ?? (yaml.trim() ? undefined : t.nothingYet)}
                onClick={() => apply(t.import, scope, yaml)}
              >
                {t.preview}
              </Act>
            }
          >
            <p className="dim">{t.edit}</p>
            <CodeEditor label={t.result} value={yaml} onChange={setYaml} validate />
          </Panel>
        </>
      )}
    </Page>
  )
}
