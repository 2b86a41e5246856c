import './why.css'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { send } from '../../api/http'
import { objectHref } from '../../api/kinds'
import type { ObjectName, WhyAnswer, WhyQuestion } from '../../api/types'
import { useAddress } from '../../app/location'
import { useTexts } from '../../i18n'
import { useFormat } from '../../i18n/format'
import { A } from '../../ui/A'
import { Act, Chips, CliButton, CopyButton, Facts, Page, Panel } from '../../ui/basics'
import { AreaField, Choice, SelectField, TextField } from '../../ui/form'
import { Status, type Tone } from '../../ui/Status'
import { ErrorCard, Skeleton } from '../../ui/states'
import { Table } from '../../ui/Table'
import { T } from './texts'

const METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS']

const TONES: Record<string, Tone> = {
  forwarded: 'good',
  redirected: 'note',
  answered: 'note',
  refused: 'bad',
  noListener: 'bad',
  noRoute: 'bad',
}

/** What is no service: on to the app, or to the address that was called. */
const DIRECT = ['inbound', 'passthrough']

/** Lines of `name: value`, and those that are none. */
function headersOf(text: string): { good: [string, string][]; bad: string[] } {
  const good: [string, string][] = []
  const bad: string[] = []
  for (const line of text.split('\n').filter(each => each.trim())) {
    const found = /^([^\s:]+):\s*(.*)$/.exec(line.trim())
    if (found) good.push([found[1] ?? '', found[2] ?? ''])
    else bad.push(line)
  }
  return { good, bad }
}

export default function WhyScreen() {
  const t = useTexts(T)
  const [search, setSearch] = useAddress()
  const [way, setWay] = useState<'out' | 'in'>(search.to ? 'in' : 'out')
  const [form, setForm] = useState({
    to: search.to ?? '',
    from: search.from ?? 'outside',
    gateway: search.gateway ?? '',
    method: search.method ?? 'GET',
    url: search.url ?? '',
    headers: search.headers ?? '',
    ip: search.ip ?? '',
    identity: search.identity ?? '',
  })
  const [kept, setKept] = useState<WhyAnswer>()
  const set = (name: keyof typeof form) => (value: string) => setForm({ ...form, [name]: value })
  const headers = headersOf(form.headers)
  const question: WhyQuestion | undefined = search.url
    ? {
        ...(search.to ? { to: search.to } : { from: search.from, gateway: search.gateway || undefined }),
        method: search.method ?? 'GET',
        url: search.url,
        headers: headersOf(search.headers ?? '').good,
        ip: search.ip || undefined,
        identity: search.identity || undefined,
      }
    : undefined
  const answer = useQuery({
    queryKey: ['why', question],
    queryFn: async () => (await send<WhyAnswer>('/why', { method: 'POST', body: question })).data,
    enabled: Boolean(question),
    staleTime: 0,
  })
  const cli = ['isthmus why', `--url '${form.url}'`]
  if (way === 'in') cli.push(`--to ${form.to}`)
  else cli.push(`--from ${form.from || 'outside'}`)
  if (way === 'out' && form.gateway) cli.push(`--gateway ${form.gateway}`)
  if (form.method !== 'GET') cli.push(`--method ${form.method}`)
  for (const [name, value] of headers.good) cli.push(`-H '${name}: ${value}'`)
  if (form.ip) cli.push(`--ip ${form.ip}`)
  if (form.identity) cli.push(`--identity ${form.identity}`)
  const empty = form.url ? way === 'in' && !form.to && t.to : t.url
  const missing = empty ? t.missing(empty) : undefined
  return (
    <Page title={t.title} actions={<CliButton command={cli.join(' ')} />}>
      <p className="dim">{t.intro}</p>
      <Panel>
        <form
          className="stack"
          onSubmit={event => {
            event.preventDefault()
            if (missing) return
            const { from, to, gateway, method, ...rest } = form
            const ends =
              way === 'in'
                ? { to, from: undefined, gateway: undefined }
                : { to: undefined, from: from === 'outside' ? undefined : from, gateway }
            setSearch({ ...rest, ...ends, method: method === 'GET' ? undefined : method }, true)
            if (form.url === search.url) void answer.refetch()
          }}
        >
          <div>
            <Choice
              label={t.way}
              value={way}
              onChange={setWay}
              options={[
                { value: 'out', label: t.wayOut },
                { value: 'in', label: t.wayIn },
              ]}
            />
          </div>
          <div className="row wrap top">
            <SelectField
              label={t.method}
              w={110}
              value={form.method}
              data={METHODS}
              onChange={set('method')}
            />
            <TextField
              label={t.url}
              required
              placeholder={way === 'in' ? 'http://10.0.0.9:8080/pay' : 'https://shop.example.com/pay'}
              value={form.url}
              onChange={set('url')}
              style={{ flex: '3 1 320px' }}
            />
            {way === 'in' ? (
              <TextField
                label={t.to}
                required
                description={t.toHint}
                inputWrapperOrder={['label', 'input', 'description']}
                value={form.to}
                onChange={set('to')}
                style={{ flex: '1 1 220px' }}
              />
            ) : (
              <>
                <TextField
                  label={t.from}
                  description={t.fromHint}
                  inputWrapperOrder={['label', 'input', 'description']}
                  value={form.from}
                  onChange={set('from')}
                  style={{ flex: '1 1 180px' }}
                />
                <TextField
                  label={t.gateway}
                  description={t.gatewayHint}
                  inputWrapperOrder={['label', 'input', 'description']}
                  value={form.gateway}
                  onChange={set('gateway')}
                  style={{ flex: '1 1 180px' }}
                />
              </>
            )}
          </div>
          <div className="row wrap top">
            <AreaField
              label={t.headers}
              description={t.headersHint}
              inputWrapperOrder={['label', 'input', 'description', 'error']}
              value={form.headers}
              onChange={set('headers')}
              error={headers.bad[0] && t.badHeader(headers.bad[0])}
              style={{ flex: '2 1 320px' }}
            />
            <TextField label={t.ip} value={form.ip} onChange={set('ip')} style={{ flex: '1 1 160px' }} />
            <TextField
              label={t.identity}
              value={form.identity}
              onChange={set('identity')}
              style={{ flex: '1 1 220px' }}
            />
          </div>
          <div className="row wrap">
            <Act variant="filled" type="submit" why={missing} loading={answer.isFetching}>
              {t.run}
            </Act>
            {search.url && <CopyButton text={location.href} label={t.share} />}
            {answer.data && <Act onClick={() => setKept(answer.data)}>{t.compare}</Act>}
          </div>
        </form>
      </Panel>
      {answer.error && <ErrorCard error={answer.error} retry={() => void answer.refetch()} />}
      {answer.isLoading && <Skeleton rows={6} />}
      <div className={kept ? 'why-pair' : undefined}>
        {answer.data && <Answer answer={answer.data} />}
        {kept && (
          <div>
            <h2>{t.before}</h2>
            <Answer answer={kept} />
          </div>
        )}
      </div>
    </Page>
  )
}

function Answer({ answer }: { answer: WhyAnswer }) {
  const t = useTexts(T)
  const format = useFormat()
  const { outcome } = answer
  const word = t[outcome.kind as 'forwarded'] ?? outcome.kind
  return (
    <div className="stack">
      <Panel title={<Status tone={TONES[outcome.kind] ?? 'note'}>{word}</Status>}>
        <p lang="en">{answer.summary}</p>
        <Facts
          of={[
            [t.status, outcome.status],
            [t.location, outcome.location && <span className="mono">{outcome.location}</span>],
            [
              t.upstream,
              outcome.upstream && (
                <span className="mono">
                  {outcome.upstream.method} {outcome.upstream.host}
                  {outcome.upstream.path}
                </span>
              ),
            ],
            [
              t.set,
              outcome.upstream && outcome.upstream.headersSet.length > 0 && (
                <Chips of={outcome.upstream.headersSet.map(([name, value]) => `${name}: ${value}`)} />
              ),
            ],
            [
              t.removed,
              outcome.upstream && outcome.upstream.headersRemoved.length > 0 && (
                <Chips of={outcome.upstream.headersRemoved} />
              ),
            ],
            [t.mirrors, outcome.mirrors.length > 0 && <Chips of={outcome.mirrors} />],
            [t.revision, answer.revision && <A to={`/revisions/${answer.revision}`}>{answer.revision}</A>],
          ]}
        />
      </Panel>
      {outcome.clusters.length > 0 && (
        <Panel title={t.backends} flush>
          <Table
            label={t.backends}
            rows={outcome.clusters}
            rowKey={row => row.cluster}
            columns={[
              { id: 'service', title: t.service, cell: row => <span className="mono">{row.service}</span> },
              { id: 'part', title: t.part, align: 'right', cell: row => format.percent(row.part) },
              {
                id: 'healthy',
                title: t.healthy,
                // Where it was meant to go is no endpoint that anybody looks after.
                cell: row =>
                  DIRECT.includes(row.service) ? (
                    '–'
                  ) : (
                    <Status tone={row.healthy === 0 ? 'bad' : row.healthy < row.endpoints ? 'warn' : 'good'}>
                      {row.healthy}/{row.endpoints}
                    </Status>
                  ),
              },
              {
                id: 'cluster',
                title: t.cluster,
                cell: row => <span className="mono dim">{row.cluster}</span>,
              },
            ]}
          />
        </Panel>
      )}
      <Panel title={t.steps}>
        <ol className="why-steps">
          {answer.steps.map((step, index) => (
            <li key={index}>
              <span className="why-stage">{stage(step.stage, t)}</span>
              <div className="stack tight">
                <span lang="en">{step.text}</span>
                <span className="row wrap dim">
                  <Status tone={step.sure ? 'good' : 'warn'}>{step.sure ? t.sure : t.guess}</Status>
                  <Place object={step.object} pointer={step.pointer} />
                </span>
                {step.near.length > 0 && (
                  <ul className="why-near">
                    {step.near.map((near, at) => (
                      <li key={at} className="dim">
                        {t.near} <span lang="en">{near.text}</span>{' '}
                        <Place object={near.object} pointer={near.pointer} />
                      </li>
                    ))}
                  </ul>
                )}
              </div>
            </li>
          ))}
        </ol>
      </Panel>
    </div>
  )
}

function stage(name: string, t: ReturnType<typeof useTexts<typeof T.en>>): string {
  const key = `stage${name.charAt(0).toUpperCase()}${name.slice(1)}` as keyof typeof t
  const word = t[key]
  return typeof word === 'string' ? word : name
}

function Place({ object, pointer }: { object?: ObjectName; pointer: string }) {
  if (!object) return null
  const text =
    `${object.kind} ${object.namespace ? `${object.namespace}/` : ''}${object.name} ${pointer}`.trim()
  const href = objectHref(object)
  return href ? (
    <A to={href} className="link mono">
      {text}
    </A>
  ) : (
    <span className="mono">{text}</span>
  )
}
