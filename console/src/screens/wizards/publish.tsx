import { useState } from 'react'
import { useList } from '../../api/hooks'
import type { Document } from '../../api/types'
import { useGo, useScope } from '../../app/location'
import { useTexts } from '../../i18n'
import { Panel } from '../../ui/basics'
import { Choice, NumberField, SelectField, TextField } from '../../ui/form'
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
import { addresses, type Backend, gateway, grant, meshService, type Publish, route } from './documents'
import { T } from './texts'

export default function PublishWizard() {
  const t = useTexts(T)
  const go = useGo()
  const scope = useScope()
  const classes = useList<Document>('/gatewayclasses', { limit: 1000 })
  const [from, setFrom] = useState<'known' | 'own'>('known')
  const [backend, setBackend] = useState<Backend>()
  const [own, setOwn] = useState({ name: '', addresses: '' })
  const [to, setTo] = useState<'known' | 'new'>('known')
  const [parent, setParent] = useState<{ name: string; document?: Document; listener: string }>({
    name: '',
    listener: '',
  })
  const [fresh, setFresh] = useState({ name: 'edge', port: 8000, address: '' })
  const [namespace, setNamespace] = useState(scope || 'default')
  const [name, setName] = useState('')
  const [hosts, setHosts] = useState('')
  const [path, setPath] = useState('/')
  const [match, setMatch] = useState<Publish['match']>('PathPrefix')

  const typed = addresses(own.addresses)
  const target: Backend | undefined =
    from === 'known' ? backend : { kind: 'MeshService', namespace, name: own.name, port: 80 }
  const missing = [
    from === 'known' && !backend && t.missing(t.known),
    from === 'own' && !isName(own.name) && t.missing(t.serviceName),
    from === 'own' && typed.bad.length > 0 && t.badAddress(typed.bad.join(' ')),
    from === 'own' && typed.good.length === 0 && t.missing(t.addresses),
    to === 'known' && !parent.name && t.missing(t.gateway),
    to === 'new' && !isName(fresh.name) && t.missing(t.gatewayName),
    !isName(namespace) && t.missing(t.namespace),
    !isName(name) && t.missing(t.name),
    !path.startsWith('/') && match !== 'RegularExpression' && t.missing(t.path),
  ].find(Boolean)
  const documents: Document[] = []
  if (!missing && target) {
    const hasClass = classes.data?.items.some(row => row.metadata.name === 'isthmus') ?? false
    if (from === 'own') documents.push(meshService(namespace, own.name, 80, typed.good))
    if (to === 'new') documents.push(...gateway(namespace, fresh.name, fresh.port, !hasClass, fresh.address))
    const through =
      to === 'new'
        ? { namespace, name: fresh.name }
        : { ...split(parent.name), listener: parent.listener || undefined }
    documents.push(
      route({ namespace, name, gateway: through, hosts: hostsOf(hosts), path, match, backend: target }),
    )
    const permit = grant(namespace, target)
    if (permit) documents.push(permit)
  }
  const listeners: string[] = parent.document?.spec?.listeners?.map((one: { name: string }) => one.name) ?? []

  return (
    <Wizard
      title={t.publish}
      intro={t.publishIntro}
      namespace={namespace}
      documents={documents}
      missing={missing || undefined}
      done={() => go(`/routes/httproutes/${namespace}/${name}`)}
    >
      <Panel title={t.publishWhat}>
        <div className="stack">
          <Choice
            label={t.publishWhat}
            value={from}
            onChange={setFrom}
            options={[
              { value: 'known', label: t.known },
              { value: 'own', label: t.own },
            ]}
          />
          {from === 'known' ? (
            <BackendField
              label={t.known}
              value={backend}
              onChange={next => {
                setBackend(next)
                if (!name) setName(next.name)
                if (!scope) setNamespace(next.namespace)
              }}
            />
          ) : (
            <>
              <NameField
                label={t.serviceName}
                value={own.name}
                onChange={value => setOwn({ ...own, name: value })}
              />
              <AddressesField
                label={t.addresses}
                value={own.addresses}
                onChange={value => setOwn({ ...own, addresses: value })}
              />
            </>
          )}
        </div>
      </Panel>
      <Panel title={t.through}>
        <div className="stack">
          <Choice
            label={t.through}
            value={to}
            onChange={setTo}
            options={[
              { value: 'known', label: t.gatewayKnown },
              { value: 'new', label: t.gatewayNew },
            ]}
          />
          {to === 'known' ? (
            <div className="row wrap top">
              <GatewayField
                label={t.gateway}
                value={parent.name}
                onChange={(value, document) => setParent({ name: value, document, listener: '' })}
              />
              <SelectField
                label={t.listener}
                value={parent.listener}
                data={[{ value: '', label: t.anyListener }, ...listeners]}
                onChange={listener => setParent({ ...parent, listener })}
              />
            </div>
          ) : (
            <div className="row wrap top">
              <NameField
                label={t.gatewayName}
                value={fresh.name}
                onChange={value => setFresh({ ...fresh, name: value })}
              />
              <NumberField
                label={t.gatewayPort}
                min={1}
                max={65_535}
                w={160}
                value={fresh.port}
                onChange={port => port && setFresh({ ...fresh, port })}
              />
              <TextField
                label={t.gatewayAddress}
                value={fresh.address}
                onChange={address => setFresh({ ...fresh, address })}
              />
            </div>
          )}
        </div>
      </Panel>
      <Panel title={t.where}>
        <div className="stack">
          <TextField label={t.hosts} description={t.hostsHint} value={hosts} onChange={setHosts} />
          <div className="row wrap top">
            <SelectField
              label={t.match}
              value={match}
              data={(['PathPrefix', 'Exact', 'RegularExpression'] as const).map(value => ({
                value,
                label: t[value],
              }))}
              onChange={value => setMatch(value as Publish['match'])}
            />
            <TextField
              label={t.path}
              required
              value={path}
              onChange={setPath}
              style={{ flex: '1 1 200px' }}
            />
          </div>
          <div className="row wrap top">
            <NameField label={t.namespace} value={namespace} onChange={setNamespace} />
            <NameField label={t.name} value={name} onChange={setName} />
          </div>
        </div>
      </Panel>
    </Wizard>
  )
}
