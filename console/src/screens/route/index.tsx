import { useDocument } from '../../api/hooks'
import { byPlural, type KindInfo } from '../../api/kinds'
import type { Document } from '../../api/types'
import { useGo } from '../../app/location'
import { useParams } from '../../app/params'
import { NotFound } from '../../app/Shell'
import { useTexts } from '../../i18n'
import { useCommon } from '../../i18n/common'
import { useFormat } from '../../i18n/format'
import { ObjectPage } from '../../objects/ObjectPage'
import { Traffic } from '../../objects/Traffic'
import { Act, Bar, Chips, Facts, Panel } from '../../ui/basics'
import { ObjectLink } from '../../ui/findings'
import type { Tone } from '../../ui/Status'
import { matchText, parts, type Ref, specOf } from '../routes/model'
import { T as LIST } from '../routes/texts'
import { Form } from './Form'
import { T } from './texts'

export default function Route() {
  const { plural = '', namespace = '', name = '' } = useParams()
  const t = useTexts(T)
  const list = useTexts(LIST)
  const go = useGo()
  const info = byPlural(plural)
  if (!info) return <NotFound />
  const hasForm = ['HTTPRoute', 'TCPRoute', 'TLSRoute', 'UDPRoute'].includes(info.kind)
  return (
    <ObjectPage
      info={info}
      namespace={namespace}
      name={name}
      back={{ to: plural === 'httproutes' ? '/routes' : `/routes?kind=${plural}`, title: list.title }}
      summary={document => <Summary route={document} />}
      form={
        hasForm
          ? (text, setText) => <Form text={text} setText={setText} http={info.kind === 'HTTPRoute'} />
          : undefined
      }
      traffic={<Traffic of={`route/${namespace}/${name}`} />}
      actions={
        <>
          <WhyAct info={info} namespace={namespace} name={name} />
          <Act onClick={() => go(`/wizards/shift?route=${encodeURIComponent(`${namespace}/${name}`)}`)}>
            {t.shift}
          </Act>
        </>
      }
    />
  )
}

/** Asks what happens to a request that this route is meant for. */
function WhyAct({ info, namespace, name }: { info: KindInfo; namespace: string; name: string }) {
  const t = useTexts(T)
  const common = useCommon()
  const go = useGo()
  const document = useDocument(info, namespace, name)
  const { hostnames = [], rules = [], parentRefs = [] } = specOf(document.data?.data ?? ({} as Document))
  const host = (hostnames[0] ?? 'example.com').replace('*', 'any')
  const path = rules[0]?.matches?.[0]?.path
  const fixed = path?.type === 'RegularExpression' ? '/' : (path?.value ?? '/')
  const question = new URLSearchParams({ url: `http://${host}${fixed}` })
  const parent = parentRefs[0]
  if (parent && (parent.kind ?? 'Gateway') === 'Gateway') {
    question.set('gateway', `${parent.namespace ?? namespace}/${parent.name}`)
  }
  return (
    <Act why={document.data ? undefined : common.loading} onClick={() => go(`/why?${question}`)}>
      {t.why}
    </Act>
  )
}

const TONES: Tone[] = ['note', 'warn', 'good', 'idle', 'bad']

function Summary({ route }: { route: Document }) {
  const t = useTexts(T)
  const format = useFormat()
  const { hostnames = [], rules = [], parentRefs = [] } = specOf(route)
  const namespace = route.metadata.namespace ?? ''
  const link = (ref: Ref, kind: string) => (
    <ObjectLink object={{ kind: ref.kind ?? kind, namespace: ref.namespace ?? namespace, name: ref.name }} />
  )
  return (
    <>
      <Panel>
        <Facts
          of={[
            [t.hosts, <Chips key="h" of={hostnames} empty={t.any} />],
            [
              t.parents,
              parentRefs.map(ref => (
                <div key={`${ref.namespace}/${ref.name}/${ref.sectionName}`}>
                  {link(ref, 'Gateway')} {ref.sectionName && <span className="dim">{ref.sectionName}</span>}
                </div>
              )),
            ],
          ]}
        />
      </Panel>
      {rules.map((rule, index) => {
        const refs = rule.backendRefs ?? []
        const shares = parts(refs)
        return (
          <Panel key={index} title={rule.name ?? t.rule(index)}>
            <div className="grid">
              <div>
                {(rule.matches ?? []).map((match, nth) => (
                  <div key={nth} className="mono" style={{ overflowWrap: 'anywhere' }}>
                    {matchText(match)}
                  </div>
                ))}
                {rule.timeouts?.request && (
                  <div className="dim">
                    {t.timeout}: {rule.timeouts.request}
                  </div>
                )}
                {(rule.filters ?? []).length > 0 && (
                  <div className="row wrap" style={{ marginTop: 6 }}>
                    <span className="dim">{t.filters}</span>
                    <Chips of={(rule.filters ?? []).map(filter => filter.type)} />
                  </div>
                )}
              </div>
              <div className="stack" style={{ gap: 6 }}>
                {refs.length === 0 && <span className="dim">{t.nothing}</span>}
                {refs.map((ref, nth) => (
                  <div key={nth} className="row spread">
                    <span>
                      {link(ref, 'Service')}
                      {ref.port && <span className="dim">:{ref.port}</span>}
                    </span>
                    {refs.length > 1 && <strong className="num">{format.percent(shares[nth])}</strong>}
                  </div>
                ))}
                {refs.length > 1 && (
                  <Bar
                    label={t.share}
                    parts={refs.map((_, nth) => [TONES[nth % TONES.length] ?? 'idle', shares[nth] ?? 0])}
                  />
                )}
              </div>
            </div>
          </Panel>
        )
      })}
    </>
  )
}
