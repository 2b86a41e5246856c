import { useApi } from '../../api/hooks'
import { useMe, writeModes } from '../../api/me'
import type { Observation } from '../../api/types'
import { texts, useTexts } from '../../i18n'
import { useFormat } from '../../i18n/format'
import { Facts, Page, Panel } from '../../ui/basics'
import { Status } from '../../ui/Status'
import { Loaded } from '../../ui/states'

const T = texts(
  {
    title: 'About',
    version: 'Version',
    replica: 'Replica',
    user: 'You are',
    via: 'Known by',
    roles: 'You may',
    mode: 'Writing',
    api: 'API',
    apiDocs: 'The API, to read and to try',
    observation: 'Observation',
    on: 'Proxies report their requests',
    off: 'Proxies are not told to report',
    requests: 'Requests reported',
    dropped: 'Dropped',
    sampling: 'Part that is reported',
    edges: 'Edges',
    licence: 'Licence',
  },
  {
    title: '关于',
    version: '版本',
    replica: '副本',
    user: '您是',
    via: '身份来源',
    roles: '您的权限',
    mode: '写入方式',
    api: 'API',
    apiDocs: '查看并试用 API',
    observation: '观测',
    on: '代理上报其请求',
    off: '未要求代理上报',
    requests: '已上报请求',
    dropped: '丢弃',
    sampling: '上报比例',
    edges: '调用边',
    licence: '许可证',
  },
)

export default function About() {
  const t = useTexts(T)
  const me = useMe()
  const format = useFormat()
  const observation = useApi<Observation>('/traffic/observation', {}, { every: 10_000 })
  return (
    <Page title={t.title}>
      <Panel title="Isthmus">
        <Facts
          of={[
            [t.version, me.version],
            [t.replica, me.replica],
            [t.user, me.subject],
            [t.via, me.via],
            [t.roles, me.roles.map(grant => `${grant.role}: ${grant.namespaces.join(', ')}`).join('; ')],
            [t.mode, writeModes(me)],
            [
              t.api,
              <a key="a" className="link" href="/api/docs">
                {t.apiDocs}
              </a>,
            ],
            [t.licence, 'Apache-2.0'],
          ]}
        />
      </Panel>
      <Panel title={t.observation}>
        <Loaded query={observation} rows={2}>
          {data => (
            <Facts
              of={[
                [
                  t.observation,
                  <Status key="o" tone={data.on ? 'good' : 'idle'}>
                    {data.on ? t.on : t.off}
                  </Status>,
                ],
                [t.requests, format.number(data.requests)],
                [t.dropped, format.number(data.dropped)],
                [t.sampling, format.percent(data.sampling)],
                [t.edges, format.number(data.edges)],
              ]}
            />
          )}
        </Loaded>
      </Panel>
    </Page>
  )
}
