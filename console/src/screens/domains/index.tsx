import { useList } from '../../api/hooks'
import type { Condition, Document } from '../../api/types'
import { useScope } from '../../app/location'
import { texts, useTexts } from '../../i18n'
import { A } from '../../ui/A'
import { Chips, CliButton, Page, Panel } from '../../ui/basics'
import { Status, type Tone } from '../../ui/Status'
import { Empty, Loaded } from '../../ui/states'
import { Table } from '../../ui/Table'
import { certificatesOf, Expiry } from './certificates'

const T = texts(
  {
    title: 'Domains & certificates',
    domains: 'Domains',
    domain: 'Domain',
    any: 'any',
    listener: 'Gateway and listener',
    protocol: 'Protocol',
    port: 'Port',
    certificates: 'Certificates',
    routes: 'Routes',
    state: 'State',
    programmed: 'served',
    unknown: 'not known yet',
    broken: 'not served',
    passthrough: 'passed through',
    plain: 'no TLS',
    empty: 'There is no gateway with a listener yet.',
    publish: 'Publish a service',
    secrets: 'Secrets with certificates',
    secret: 'Secret',
    usedBy: 'Used by',
    unused: 'nobody',
    issuer: 'Issuer',
    end: 'Valid',
    missing: 'is not there',
  },
  {
    title: '域名与证书',
    domains: '域名',
    domain: '域名',
    any: '任意',
    listener: '网关与监听器',
    protocol: '协议',
    port: '端口',
    certificates: '证书',
    routes: '路由',
    state: '状态',
    programmed: '已生效',
    unknown: '尚未知晓',
    broken: '未生效',
    passthrough: '透传',
    plain: '无 TLS',
    empty: '还没有带监听器的网关。',
    publish: '发布服务',
    secrets: '存有证书的 Secret',
    secret: 'Secret',
    usedBy: '使用者',
    unused: '无',
    issuer: '颁发者',
    end: '有效期',
    missing: '不存在',
  },
)

interface Domain {
  host: string
  gateway: string
  listener: string
  protocol: string
  port: number
  mode?: string
  secrets: string[]
  routes: number
  tone: Tone
  reason: string
}

/** The listeners of a Gateway, each with what its status says. */
function domainsOf(gateway: Document): Domain[] {
  const { namespace = '', name } = gateway.metadata
  const said = new Map<string, Record<string, never>>(
    (gateway.status?.listeners ?? []).map((each: { name: string }) => [each.name, each]),
  )
  return (gateway.spec?.listeners ?? []).map((listener: Record<string, any>): Domain => {
    const status = said.get(listener.name) as any
    const conditions: Condition[] = status?.conditions ?? []
    const programmed = conditions.find(condition => condition.type === 'Programmed')
    const bad = conditions.find(
      condition =>
        condition.status === 'False' &&
        condition.type !== 'Conflicted' &&
        condition.type !== 'OverlappingTLSConfig',
    )
    return {
      host: listener.hostname ?? '',
      gateway: `${namespace}/${name}`,
      listener: listener.name,
      protocol: listener.protocol,
      port: listener.port,
      mode: listener.tls?.mode,
      secrets: (listener.tls?.certificateRefs ?? []).map(
        (ref: { namespace?: string; name: string }) => `${ref.namespace ?? namespace}/${ref.name}`,
      ),
      routes: status?.attachedRoutes ?? 0,
      tone: bad ? 'bad' : programmed?.status === 'True' ? 'good' : 'idle',
      reason: bad ? `${bad.reason}: ${bad.message}` : '',
    }
  })
}

export default function DomainsScreen() {
  const t = useTexts(T)
  const ns = useScope()
  const gateways = useList<Document>('/gateways', { limit: 1000, namespace: ns || undefined })
  const secrets = useList<Document>('/secrets', { limit: 1000, namespace: ns || undefined })
  return (
    <Page title={t.title} actions={<CliButton command="isthmus get gateways" />}>
      <Loaded query={gateways}>
        {({ items }) => {
          const rows = items.flatMap(domainsOf)
          if (rows.length === 0) {
            return <Empty why="nothing" text={t.empty} action={<A to="/wizards/publish">{t.publish}</A>} />
          }
          const known = new Set(
            (secrets.data?.items ?? []).map(row => `${row.metadata.namespace}/${row.metadata.name}`),
          )
          const users = new Map<string, string[]>()
          for (const row of rows) {
            for (const secret of row.secrets) {
              users.set(secret, [...(users.get(secret) ?? []), `${row.gateway} ${row.listener}`])
            }
          }
          const certificates = certificatesOf(secrets.data?.items ?? [])
          return (
            <>
              <Panel title={t.domains} flush>
                <Table
                  label={t.domains}
                  rows={rows}
                  rowKey={row => `${row.gateway} ${row.listener}`}
                  columns={[
                    {
                      id: 'domain',
                      title: t.domain,
                      cell: row =>
                        row.host ? (
                          <strong className="mono">{row.host}</strong>
                        ) : (
                          <span className="dim">{t.any}</span>
                        ),
                    },
                    {
                      id: 'listener',
                      title: t.listener,
                      cell: row => (
                        <>
                          <A to={`/gateways/${row.gateway}`}>{row.gateway}</A>{' '}
                          <span className="mono">{row.listener}</span>
                        </>
                      ),
                    },
                    { id: 'protocol', title: t.protocol, cell: row => row.protocol },
                    { id: 'port', title: t.port, align: 'right', cell: row => row.port },
                    {
                      id: 'certificates',
                      title: t.certificates,
                      cell: row => {
                        if (row.mode === 'Passthrough') return <span className="dim">{t.passthrough}</span>
                        if (row.secrets.length === 0) return <span className="dim">{t.plain}</span>
                        return (
                          <span className="row wrap">
                            {row.secrets.map(secret =>
                              known.size === 0 || known.has(secret) ? (
                                <A key={secret} to={`/documents/secrets/${secret}`}>
                                  {secret}
                                </A>
                              ) : (
                                <Status key={secret} tone="bad">
                                  {secret} {t.missing}
                                </Status>
                              ),
                            )}
                          </span>
                        )
                      },
                    },
                    { id: 'routes', title: t.routes, align: 'right', cell: row => row.routes },
                    {
                      id: 'state',
                      title: t.state,
                      cell: row => (
                        <Status tone={row.tone} title={row.reason}>
                          {row.tone === 'good'
                            ? t.programmed
                            : row.tone === 'bad'
                              ? `${t.broken}: ${row.reason}`
                              : t.unknown}
                        </Status>
                      ),
                    },
                  ]}
                />
              </Panel>
              {certificates.length > 0 && (
                <Panel title={t.secrets} flush>
                  <Table
                    label={t.secrets}
                    rows={certificates}
                    rowKey={one => one.secret}
                    columns={[
                      {
                        id: 'secret',
                        title: t.secret,
                        cell: one => <A to={`/documents/secrets/${one.secret}`}>{one.secret}</A>,
                      },
                      { id: 'hosts', title: t.domains, cell: one => <Chips of={one.hosts} /> },
                      { id: 'issuer', title: t.issuer, cell: one => one.issuer },
                      { id: 'end', title: t.end, tight: true, cell: one => <Expiry of={one} /> },
                      {
                        id: 'usedBy',
                        title: t.usedBy,
                        cell: one => <Chips of={users.get(one.secret) ?? []} empty={t.unused} />,
                      },
                    ]}
                  />
                </Panel>
              )}
            </>
          )
        }}
      </Loaded>
    </Page>
  )
}
