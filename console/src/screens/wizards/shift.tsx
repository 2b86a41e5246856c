import { useState } from 'react'
import { useDocument, useList } from '../../api/hooks'
import { byPlural } from '../../api/kinds'
import { usePermission } from '../../api/me'
import type { Document } from '../../api/types'
import { useAddress } from '../../app/location'
import { useTexts } from '../../i18n'
import { toYaml, useSave } from '../../objects/save'
import { Act, Notice, Page, Panel } from '../../ui/basics'
import { CodeEditor } from '../../ui/CodeEditor'
import { NumberField, SelectField } from '../../ui/form'
import { ShareSlider } from '../../ui/ShareSlider'
import { Loaded } from '../../ui/states'
import { BackendField, split } from './common'
import { type Backend, parts, WHOLE, withBackend, withMirror, withoutMirror, withWeights } from './documents'
import { T } from './texts'

const HTTP_ROUTES = byPlural('httproutes')

interface Ref {
  name: string
  namespace?: string
  kind?: string
  port?: number
  weight?: number
}

export default function ShiftWizard() {
  const t = useTexts(T)
  const [search, setSearch] = useAddress()
  const routes = useList<Document>('/httproutes', { limit: 1000 })
  const names = (routes.data?.items ?? []).map(row => `${row.metadata.namespace}/${row.metadata.name}`)
  return (
    <Page title={t.shift}>
      <p className="dim">{t.shiftIntro}</p>
      <div style={{ maxWidth: 460 }}>
        <SelectField
          label={t.route}
          required
          searchable
          value={search.route ?? null}
          data={names}
          onChange={route => setSearch({ route, rule: undefined })}
        />
      </div>
      {search.route && <Chosen key={search.route} route={search.route} />}
    </Page>
  )
}

function Chosen({ route }: { route: string }) {
  const { namespace, name } = split(route)
  if (!HTTP_ROUTES) return null
  return <Read info={HTTP_ROUTES} namespace={namespace} name={name} />
}

function Read(props: { info: NonNullable<typeof HTTP_ROUTES>; namespace: string; name: string }) {
  const document = useDocument(props.info, props.namespace, props.name)
  return (
    <Loaded query={document}>
      {({ data, etag }) => <Shift key={etag} {...props} document={data} etag={etag} />}
    </Loaded>
  )
}

function Shift(props: {
  info: NonNullable<typeof HTTP_ROUTES>
  namespace: string
  name: string
  document: Document
  etag?: string | null
}) {
  const { info, namespace, name, document, etag } = props
  const t = useTexts(T)
  const [search, setSearch] = useAddress()
  const { save } = useSave()
  const denied = usePermission('editor', namespace, true)
  const [draft, setDraft] = useState(document)
  const [fresh, setFresh] = useState<Backend>()
  const rules: {
    matches?: { path?: { value?: string }; method?: string }[]
    backendRefs?: Ref[]
    filters?: { type: string }[]
  }[] = draft.spec?.rules ?? []
  const rule = Math.min(Number(search.rule ?? 0) || 0, Math.max(0, rules.length - 1))
  const refs = rules[rule]?.backendRefs ?? []
  const shares = parts(refs)
  const title = (ref: Ref) => `${ref.namespace ?? namespace}/${ref.name}`
  const words = (index: number) =>
    (rules[index]?.matches ?? [])
      .map(match => `${match.method ?? ''} ${match.path?.value ?? ''}`.trim())
      .join(', ') || t.anyRequest
  const mirrored = rules[rule]?.filters?.some(filter => filter.type === 'RequestMirror') ?? false
  const unchanged = toYaml(draft) === toYaml(document)

  /** The others keep what they have of each other. */
  const share = (index: number, part: number) => {
    const others = shares.reduce((sum, each, at) => (at === index ? sum : sum + each), 0)
    const left = WHOLE - Math.round(part * WHOLE)
    const weights = shares.map((each, at) =>
      at === index
        ? WHOLE - left
        : Math.round(others > 0 ? (each / others) * left : left / (shares.length - 1)),
    )
    setDraft(withWeights(draft, rule, weights))
  }

  return (
    <div className="wizard">
      <div className="stack">
        <Panel title={t.rule}>
          <SelectField
            label={t.rule}
            value={String(rule)}
            data={rules.map((_, index) => ({ value: String(index), label: t.ruleOf(index, words(index)) }))}
            onChange={next => setSearch({ rule: next })}
          />
        </Panel>
        <Panel title={t.backends}>
          <div className="stack">
            {refs.length === 0 && <Notice tone="warn">{t.noBackends}</Notice>}
            {refs.length === 1 && <Notice tone="note">{t.oneBackend}</Notice>}
            {refs.map((ref, index) => (
              <div key={title(ref)} className="row wrap">
                <strong
                  className="mono"
                  style={{ flex: '1 0 120px', maxWidth: '100%', overflowWrap: 'anywhere' }}
                >
                  {title(ref)}
                </strong>
                <ShareSlider
                  label={t.share(title(ref))}
                  value={shares[index] ?? 0}
                  disabled={refs.length < 2}
                  onChange={part => share(index, part)}
                />
                <NumberField
                  aria-label={t.share(title(ref))}
                  w={96}
                  min={0}
                  max={100}
                  step={0.1}
                  decimalScale={1}
                  suffix=" %"
                  disabled={refs.length < 2}
                  value={Math.round((shares[index] ?? 0) * 1000) / 10}
                  onChange={value => value !== undefined && share(index, value / 100)}
                />
              </div>
            ))}
          </div>
        </Panel>
        <Panel title={t.addBackend}>
          <div className="stack">
            <BackendField label={t.newBackend} value={fresh} onChange={setFresh} />
            <div className="row wrap">
              <Act
                why={fresh ? undefined : t.missing(t.newBackend)}
                onClick={() => fresh && setDraft(withBackend(draft, rule, fresh, false))}
              >
                {t.addBackend}
              </Act>
              <Act
                why={fresh ? undefined : t.missing(t.newBackend)}
                onClick={() => fresh && setDraft(withMirror(draft, rule, fresh))}
              >
                {t.mirror}
              </Act>
              {mirrored && (
                <Act
                  onClick={() => setDraft(withoutMirror(draft, rule))}
                >{`${t.mirror}: ${t.mirrorNone}`}</Act>
              )}
            </div>
          </div>
        </Panel>
        <div className="row">
          <Act
            variant="filled"
            why={denied ?? (unchanged ? t.unchanged : undefined)}
            onClick={() => save({ info, namespace, name, text: toYaml(draft), etag, base: document })}
          >
            {t.preview}
          </Act>
        </div>
      </div>
      <Panel title={t.result}>
        {unchanged ? (
          <Notice tone="note">{t.unchanged}</Notice>
        ) : (
          <CodeEditor label={t.result} value={toYaml(draft)} original={toYaml(document)} readOnly />
        )}
      </Panel>
    </div>
  )
}
