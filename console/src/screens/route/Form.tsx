import { IconArrowUp, IconPlus, IconX } from '@tabler/icons-react'
import type { ReactNode } from 'react'
import { useList } from '../../api/hooks'
import type { Document, ServiceRow } from '../../api/types'
import { useTexts } from '../../i18n'
import { useFormat } from '../../i18n/format'
import { Act, Chips, IconAct, Notice, Panel } from '../../ui/basics'
import { AreaField, NumberField, SelectField, TextField } from '../../ui/form'
import { type Match, parts, type Ref, type RouteSpec, type Rule } from '../routes/model'
import { addIn, moveUp, type Path, read, removeIn, setIn } from './edit'
import { T } from './texts'

interface Edit {
  text: string
  set: (path: Path, value: unknown) => void
  add: (path: Path, value: unknown) => void
  remove: (path: Path) => void
  up: (list: Path, index: number) => void
}

/** A route as a form. It edits the YAML's text, and shows what that says. */
export function Form({
  text,
  setText,
  http,
}: {
  text: string
  setText: (text: string) => void
  http: boolean
}) {
  const t = useTexts(T)
  const document = read<Document<RouteSpec>>(text)
  if (!document) return <Notice tone="warn">{t.unreadable}</Notice>
  const edit: Edit = {
    text,
    set: (path, value) => setText(setIn(text, path, value)),
    add: (path, value) => setText(addIn(text, path, value)),
    remove: path => setText(removeIn(text, path)),
    up: (list, index) => setText(moveUp(text, list, index)),
  }
  const { hostnames = [], rules = [] } = document.spec ?? {}
  const namespace = document.metadata?.namespace ?? ''
  return (
    <div className="stack">
      <Panel>
        <AreaField
          label={t.hosts}
          description={t.hostsHint}
          value={hostnames.join('\n')}
          onChange={value => {
            const hosts = value.split('\n')
            // The last, empty line is where the next one is about to be typed.
            edit.set(['spec', 'hostnames'], hosts.join('') === '' ? undefined : hosts)
          }}
        />
      </Panel>
      {rules.map((rule, index) => (
        <OneRule key={index} rule={rule} index={index} edit={edit} namespace={namespace} http={http} />
      ))}
      <div className="row wrap">
        <Act
          leftSection={<IconPlus size={14} />}
          onClick={() =>
            edit.add(
              ['spec', 'rules'],
              http
                ? { matches: [{ path: { type: 'PathPrefix', value: '/' } }], backendRefs: [] }
                : { backendRefs: [] },
            )
          }
        >
          {t.addRule}
        </Act>
        <span className="dim">{t.keeps}</span>
      </div>
    </div>
  )
}

function OneRule(props: { rule: Rule; index: number; edit: Edit; namespace: string; http: boolean }) {
  const { rule, index, edit, namespace, http } = props
  const t = useTexts(T)
  const path: Path = ['spec', 'rules', index]
  const title = rule.name ?? t.rule(index)
  return (
    <Panel
      title={title}
      actions={
        <>
          {index > 0 && (
            <IconAct label={t.up} onClick={() => edit.up(['spec', 'rules'], index)}>
              <IconArrowUp size={16} />
            </IconAct>
          )}
          <IconAct label={t.remove(title)} onClick={() => edit.remove(path)}>
            <IconX size={16} />
          </IconAct>
        </>
      }
    >
      <div className="stack">
        {http && (
          <>
            <Legend>{t.matches}</Legend>
            {(rule.matches ?? []).map((match, nth) => (
              <OneMatch key={nth} match={match} path={[...path, 'matches', nth]} edit={edit} />
            ))}
            <span>
              <Act
                variant="subtle"
                leftSection={<IconPlus size={14} />}
                onClick={() => edit.add([...path, 'matches'], { path: { type: 'PathPrefix', value: '/' } })}
              >
                {t.addMatch}
              </Act>
            </span>
          </>
        )}
        <Legend>{t.backends}</Legend>
        <Backends
          refs={rule.backendRefs ?? []}
          path={[...path, 'backendRefs']}
          edit={edit}
          namespace={namespace}
        />
        {(rule.filters ?? []).length > 0 && (
          <div className="row wrap">
            <span className="dim">{t.filters}</span>
            <Chips of={(rule.filters ?? []).map(filter => filter.type)} />
          </div>
        )}
        {http && (
          <TextField
            label={t.timeout}
            placeholder="15s"
            w={180}
            value={rule.timeouts?.request ?? ''}
            onChange={value =>
              value === '' && Object.keys(rule.timeouts ?? {}).length <= 1
                ? edit.set([...path, 'timeouts'], undefined)
                : edit.set([...path, 'timeouts', 'request'], value || undefined)
            }
          />
        )}
      </div>
    </Panel>
  )
}

function Legend({ children }: { children: ReactNode }) {
  return <h3 style={{ fontSize: 13 }}>{children}</h3>
}

const METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS']

function OneMatch({ match, path, edit }: { match: Match; path: Path; edit: Edit }) {
  const t = useTexts(T)
  return (
    <div className="row wrap" style={{ alignItems: 'flex-end' }}>
      <SelectField
        label={t.pathType}
        w={160}
        value={match.path?.type ?? 'PathPrefix'}
        data={[
          { value: 'PathPrefix', label: t.prefix },
          { value: 'Exact', label: t.exact },
          { value: 'RegularExpression', label: t.regex },
        ]}
        onChange={value => edit.set([...path, 'path', 'type'], value)}
      />
      <TextField
        label={t.path}
        style={{ flex: '1 1 200px' }}
        value={match.path?.value ?? '/'}
        onChange={value => edit.set([...path, 'path', 'value'], value)}
      />
      <SelectField
        label={t.method}
        w={110}
        value={typeof match.method === 'string' ? match.method : ''}
        data={[{ value: '', label: t.anyMethod }, ...METHODS]}
        onChange={value => edit.set([...path, 'method'], value || undefined)}
      />
      {(match.headers ?? []).map((header, index) => (
        <span key={index} className="row" style={{ gap: 4, alignItems: 'flex-end' }}>
          <TextField
            label={t.header}
            w={130}
            value={header.name}
            onChange={value => edit.set([...path, 'headers', index, 'name'], value)}
          />
          <TextField
            label={t.value}
            w={120}
            value={header.value}
            onChange={value => edit.set([...path, 'headers', index, 'value'], value)}
          />
          <IconAct label={t.remove(header.name)} onClick={() => edit.remove([...path, 'headers', index])}>
            <IconX size={14} />
          </IconAct>
        </span>
      ))}
      <Act variant="subtle" onClick={() => edit.add([...path, 'headers'], { name: 'x-lane', value: 'gray' })}>
        {t.addHeader}
      </Act>
      <IconAct label={t.remove(match.path?.value ?? '')} onClick={() => edit.remove(path)}>
        <IconX size={16} />
      </IconAct>
    </div>
  )
}

function Backends({
  refs,
  path,
  edit,
  namespace,
}: {
  refs: Ref[]
  path: Path
  edit: Edit
  namespace: string
}) {
  const t = useTexts(T)
  const format = useFormat()
  const services = useList<ServiceRow>('/services', { namespace, limit: 1000 })
  const known = services.data?.items ?? []
  const shares = parts(refs)
  const choose = (index: number, name: string) => {
    const row = known.find(each => each.name === name)
    edit.set([...path, index], {
      ...refs[index],
      name,
      ...(row
        ? {
            group: row.kind === 'MeshService' ? 'isthmus.dev' : '',
            kind: row.kind,
            port: row.ports[0] ?? refs[index]?.port,
          }
        : {}),
    })
  }
  return (
    <div className="stack" style={{ gap: 8 }}>
      {refs.length === 0 && <span className="dim">{t.nothing}</span>}
      {refs.map((ref, index) => (
        <div key={index} className="row wrap" style={{ alignItems: 'flex-end' }}>
          <SelectField
            label={t.service}
            searchable
            style={{ flex: '1 1 220px' }}
            value={ref.name}
            data={[
              ...new Set([
                ...known.filter(row => row.namespace === namespace).map(row => row.name),
                ref.name,
              ]),
            ]}
            onChange={name => choose(index, name)}
          />
          <NumberField
            label={t.port}
            w={90}
            min={1}
            max={65535}
            hideControls
            value={ref.port ?? ''}
            onChange={value => edit.set([...path, index, 'port'], value)}
          />
          <NumberField
            label={t.weight}
            w={100}
            min={0}
            max={1_000_000}
            value={ref.weight ?? 1}
            onChange={value => edit.set([...path, index, 'weight'], value ?? 0)}
          />
          <span className="num" style={{ width: 70, paddingBottom: 6 }} title={t.share}>
            {format.percent(shares[index])}
          </span>
          <IconAct label={t.remove(ref.name)} onClick={() => edit.remove([...path, index])}>
            <IconX size={16} />
          </IconAct>
        </div>
      ))}
      <span>
        <Act
          variant="subtle"
          leftSection={<IconPlus size={14} />}
          onClick={() => {
            const first = known.find(
              row => row.namespace === namespace && !refs.some(ref => ref.name === row.name),
            )
            edit.add(path, {
              group: first?.kind === 'Service' ? '' : 'isthmus.dev',
              kind: first?.kind ?? 'MeshService',
              name: first?.name ?? 'service',
              port: first?.ports[0] ?? 80,
              weight: refs.length === 0 ? 1 : 0,
            })
          }}
        >
          {t.addBackend}
        </Act>
      </span>
    </div>
  )
}
