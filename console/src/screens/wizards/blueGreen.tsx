import { useState } from 'react'
import { useApi, useDocument, useList } from '../../api/hooks'
import { byPlural } from '../../api/kinds'
import { usePermission } from '../../api/me'
import type { Document, Series } from '../../api/types'
import { useAddress, useScope } from '../../app/location'
import { useTexts } from '../../i18n'
import { useFormat } from '../../i18n/format'
import { toYaml, useSave } from '../../objects/save'
import { A } from '../../ui/A'
import { Act, Bar, Page, Panel } from '../../ui/basics'
import { Choice, TextField } from '../../ui/form'
import { Status } from '../../ui/Status'
import { Empty, Loaded } from '../../ui/states'
import { Tabs } from '../../ui/Tabs'
import {
  AddressesField,
  BackendField,
  GatewayField,
  hostsOf,
  isName,
  NameField,
  split,
  Wizard,
} from './common'
import {
  addresses,
  type Backend,
  blueGreen,
  blueGreenRule,
  grant,
  meshService,
  parts,
  withWeights,
} from './documents'
import { T } from './texts'

const HTTP_ROUTES = byPlural('httproutes')

export default function BlueGreenWizard() {
  const t = useTexts(T)
  return (
    <Page title={t.blueGreen}>
      <p className="dim">{t.blueGreenIntro}</p>
      <Tabs
        label={t.blueGreen}
        tabs={[
          { id: 'flip', title: t.flip, show: () => <Flips /> },
          { id: 'setup', title: t.setUp, show: () => <SetUp /> },
        ]}
      />
    </Page>
  )
}

function Flips() {
  const t = useTexts(T)
  const [, setSearch] = useAddress()
  const ns = useScope()
  const routes = useList<Document>('/httproutes', { limit: 1000, namespace: ns || undefined })
  return (
    <Loaded query={routes}>
      {({ items }) => {
        const set = items.filter(row => blueGreenRule(row) !== undefined)
        if (set.length === 0) {
          const action = <Act onClick={() => setSearch({ tab: 'setup' }, true)}>{t.setUp}</Act>
          return <Empty why="nothing" text={t.noBlueGreen} action={action} />
        }
        return (
          <div className="stack">
            {set.map(row => (
              <FlipOne
                key={`${row.metadata.namespace}/${row.metadata.name}`}
                namespace={row.metadata.namespace ?? ''}
                name={row.metadata.name}
              />
            ))}
          </div>
        )
      }}
    </Loaded>
  )
}

function FlipOne({ namespace, name }: { namespace: string; name: string }) {
  const t = useTexts(T)
  const format = useFormat()
  const info = HTTP_ROUTES as NonNullable<typeof HTTP_ROUTES>
  const document = useDocument(info, namespace, name)
  const traffic = useApi<Series>(
    '/traffic/series',
    { of: `route/${namespace}/${name}`, window: 60 },
    { every: 5000 },
  )
  const { save } = useSave()
  const denied = usePermission('editor', namespace, true)
  const now = traffic.data?.rate.findLast(value => value !== null)
  const failing = traffic.data?.status5xx.findLast(value => value !== null)
  return (
    <Loaded query={document} rows={3}>
      {({ data, etag }) => {
        const rule = blueGreenRule(data)
        if (rule === undefined) return null
        const refs: { name: string; weight?: number }[] = data.spec.rules[rule].backendRefs
        const shares = parts(refs)
        const [blue, green] = refs.map(ref => ref.name)
        const [ofBlue = 0, ofGreen = 0] = shares
        const to = (index: number) => {
          const text = toYaml(withWeights(data, rule, index === 0 ? [100, 0] : [0, 100]))
          save({ info, namespace, name, text, etag, base: data })
        }
        return (
          <Panel
            title={<A to={`/routes/httproutes/${namespace}/${name}`}>{`${namespace}/${name}`}</A>}
            actions={
              <>
                <Act why={denied ?? (ofBlue === 1 ? t.allOn(blue ?? '') : undefined)} onClick={() => to(0)}>
                  {t.flipTo(blue ?? '')}
                </Act>
                <Act why={denied ?? (ofGreen === 1 ? t.allOn(green ?? '') : undefined)} onClick={() => to(1)}>
                  {t.flipTo(green ?? '')}
                </Act>
              </>
            }
          >
            <div className="stack">
              <div className="row wrap">
                {[blue, green].map((backend, index) => (
                  <Status key={backend} tone={(shares[index] ?? 0) > 0 ? 'good' : 'idle'}>
                    <span className="mono">{backend}</span> {format.percent(shares[index])}{' '}
                    {(shares[index] ?? 0) === 0 && t.spare}
                  </Status>
                ))}
                <span className="dim num">
                  {t.liveNow}: {format.rate(now)} · 5xx {format.rate(failing)}
                </span>
              </div>
              <Bar
                label={`${blue} ${format.percent(ofBlue)}, ${green} ${format.percent(ofGreen)}`}
                parts={[
                  ['note', ofBlue],
                  ['good', ofGreen],
                ]}
              />
            </div>
          </Panel>
        )
      }}
    </Loaded>
  )
}

function SetUp() {
  const t = useTexts(T)
  const scope = useScope()
  const [, setSearch] = useAddress()
  const [of, setOf] = useState<'services' | 'gateways'>('services')
  const [edge, setEdge] = useState('')
  const [namespace, setNamespace] = useState(scope || 'default')
  const [name, setName] = useState('')
  const [hosts, setHosts] = useState('')
  const [path, setPath] = useState('/')
  const [pair, setPair] = useState<{ blue?: Backend; green?: Backend }>({})
  const [behind, setBehind] = useState({ blue: '', green: '' })
  const colours = ['blue', 'green'] as const
  const typed = { blue: addresses(behind.blue), green: addresses(behind.green) }
  const wrong = colours.flatMap(colour => typed[colour].bad)
  const missing = [
    !edge && t.missing(t.edge),
    !isName(namespace) && t.missing(t.namespace),
    !isName(name) && t.missing(t.name),
    of === 'services' && (!pair.blue || !pair.green) && t.missing(`${t.blue}, ${t.green}`),
    of === 'gateways' && wrong.length > 0 && t.badAddress(wrong.join(' ')),
    of === 'gateways' &&
      colours.some(colour => typed[colour].good.length === 0) &&
      t.missing(`${t.blueAddresses}, ${t.greenAddresses}`),
    !path.startsWith('/') && t.missing(t.path),
  ].find(Boolean)
  const made = (colour: 'blue' | 'green'): Backend =>
    of === 'services' && pair[colour]
      ? pair[colour]
      : { kind: 'MeshService', namespace, name: `${name}-${colour}`, port: 80 }
  const documents: Document[] = []
  if (!missing) {
    const [blue, green] = [made('blue'), made('green')]
    if (of === 'gateways') {
      for (const colour of colours) {
        documents.push(meshService(namespace, made(colour).name, 80, typed[colour].good))
      }
    }
    documents.push(
      blueGreen({ namespace, name, gateway: split(edge), hosts: hostsOf(hosts), path, blue, green }),
    )
    for (const backend of [blue, green]) {
      const permit = grant(namespace, backend)
      if (permit) documents.push(permit)
    }
  }
  return (
    <Wizard
      inner
      title={`${t.blueGreen}: ${t.setUp}`}
      namespace={namespace}
      documents={documents}
      missing={missing || undefined}
      done={() => setSearch({ tab: undefined }, true)}
    >
      <Panel title={t.backends}>
        <div className="stack">
          <Choice
            label={t.backends}
            value={of}
            onChange={setOf}
            options={[
              { value: 'services', label: t.twoServices },
              { value: 'gateways', label: t.twoGateways },
            ]}
          />
          {colours.map(colour =>
            of === 'services' ? (
              <BackendField
                key={colour}
                label={t[colour]}
                value={pair[colour]}
                onChange={backend => setPair({ ...pair, [colour]: backend })}
              />
            ) : (
              <AddressesField
                key={colour}
                label={colour === 'blue' ? t.blueAddresses : t.greenAddresses}
                value={behind[colour]}
                onChange={value => setBehind({ ...behind, [colour]: value })}
              />
            ),
          )}
        </div>
      </Panel>
      <Panel title={t.where}>
        <div className="stack">
          <GatewayField label={t.edge} value={edge} onChange={setEdge} />
          <TextField label={t.hosts} description={t.hostsHint} value={hosts} onChange={setHosts} />
          <TextField label={t.path} required value={path} onChange={setPath} />
          <div className="row wrap top">
            <NameField label={t.namespace} value={namespace} onChange={setNamespace} />
            <NameField label={t.name} value={name} onChange={setName} />
          </div>
        </div>
      </Panel>
    </Wizard>
  )
}
