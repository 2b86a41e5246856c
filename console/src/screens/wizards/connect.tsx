import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { send } from '../../api/http'
import type { List, RegistryProbe } from '../../api/types'
import { useGo, useScope } from '../../app/location'
import { useTexts } from '../../i18n'
import { Act, Notice, Panel } from '../../ui/basics'
import { SelectField, TextField } from '../../ui/form'
import { Status } from '../../ui/Status'
import { ErrorCard } from '../../ui/states'
import { AddressesField, hostsOf, isName, NameField, Wizard } from './common'
import { addresses, registry } from './documents'
import { T } from './texts'

export default function ConnectWizard() {
  const t = useTexts(T)
  const go = useGo()
  const scope = useScope()
  const [answers, setAnswers] = useState({
    namespace: scope || 'infra',
    name: '',
    type: 'Nacos',
    addresses: '',
    username: '',
    passwordFile: '',
    tokenFile: '',
    into: '',
    nacosNamespaces: '',
  })
  const { namespace, name, type, into } = answers
  const set = (field: keyof typeof answers) => (value: string) => setAnswers({ ...answers, [field]: value })
  const typed = addresses(answers.addresses)
  const missing = [
    !isName(name) && t.missing(t.registryName),
    !isName(namespace) && t.missing(t.namespace),
    typed.bad.length > 0 && t.badAddress(typed.bad.join(' ')),
    typed.good.length === 0 && t.missing(t.addresses),
    into !== '' && !isName(into) && t.missing(t.into),
  ].find(Boolean)
  // Once it is there, it can be asked.
  const test = useMutation({
    mutationFn: async () =>
      (await send<List<RegistryProbe>>(`/registries/${namespace}/${name}/test`, { method: 'POST' })).data
        .items,
  })
  const document = registry({
    ...answers,
    addresses: hostsOf(answers.addresses),
    nacosNamespaces: hostsOf(answers.nacosNamespaces),
  })
  return (
    <Wizard
      title={t.connect}
      intro={t.connectIntro}
      namespace={namespace}
      documents={missing ? [] : [document]}
      missing={missing || undefined}
      done={() => test.mutate()}
    >
      <Panel title={t.connect}>
        <div className="stack">
          <div className="row wrap top">
            <SelectField
              label={t.type}
              value={type}
              data={['Nacos', 'Eureka', 'ZooKeeper', 'Consul']}
              onChange={set('type')}
            />
            <NameField label={t.registryName} value={name} onChange={set('name')} />
            <NameField label={t.namespace} value={namespace} onChange={set('namespace')} />
          </div>
          <AddressesField label={t.addresses} value={answers.addresses} onChange={set('addresses')} />
          <div className="row wrap top">
            {type === 'Consul' ? (
              <TextField label={t.tokenFile} value={answers.tokenFile} onChange={set('tokenFile')} />
            ) : (
              <>
                <TextField
                  label={t.username}
                  autoComplete="off"
                  value={answers.username}
                  onChange={set('username')}
                />
                <TextField
                  label={t.passwordFile}
                  value={answers.passwordFile}
                  onChange={set('passwordFile')}
                />
              </>
            )}
          </div>
          <Notice tone="note">{t.secretsHint}</Notice>
          {type === 'Nacos' && (
            <TextField
              label={t.nacosNamespaces}
              value={answers.nacosNamespaces}
              onChange={set('nacosNamespaces')}
            />
          )}
          <TextField label={t.into} value={into} onChange={set('into')} />
        </div>
      </Panel>
      {(test.isPending || test.data || test.error) && (
        <Panel
          title={t.tested}
          actions={<Act onClick={() => go(`/registries/${namespace}/${name}`)}>{t.toRegistry}</Act>}
        >
          {test.isPending && <p role="status">{t.testing}</p>}
          {test.error && <ErrorCard error={test.error} retry={() => test.mutate()} />}
          <ul className="plain">
            {test.data?.map(probe => (
              <li key={probe.address} className="row wrap">
                <span className="mono">{probe.address}</span>
                <Status tone={probe.error ? 'bad' : 'good'}>
                  {probe.error ?? t.answers(probe.latencyMs ?? 0)}
                </Status>
                {probe.authenticated !== undefined && (
                  <Status tone={probe.authenticated ? 'good' : 'bad'}>{t.login(probe.authenticated)}</Status>
                )}
                {probe.services !== undefined && (
                  <span className="dim">{t.servicesThere(probe.services)}</span>
                )}
              </li>
            ))}
          </ul>
        </Panel>
      )}
    </Wizard>
  )
}
