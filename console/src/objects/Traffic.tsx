import { useApi, useList } from '../api/hooks'
import type { Revision, Series } from '../api/types'
import { useTexts } from '../i18n'
import { Panel } from '../ui/basics'
import { Chart, type Mark } from '../ui/Chart'
import { Empty, Loaded } from '../ui/states'
import { T } from './texts'

/** Rate, errors and latency of one service, gateway or route (`route/shop/orders`), or of all. */
export function Traffic({ of, window }: { of?: string; window?: number }) {
  const t = useTexts(T)
  const series = useApi<Series>('/traffic/series', { of, window }, { every: 10_000 })
  const revisions = useList<Revision>('/revisions', { limit: 20 })
  const marks: Mark[] = (revisions.data?.items ?? []).map(r => ({
    at: new Date(r.time).getTime() / 1000,
    label: r.id,
  }))
  return (
    <Loaded query={series}>
      {data =>
        data.rate.every(value => value === null) ? (
          <Empty why="nothing" text={t.noTraffic} />
        ) : (
          <div className="grid">
            <Panel>
              <Chart
                label={t.rateTitle}
                unit="rate"
                times={data.times}
                sync="traffic"
                marks={marks}
                lines={[{ label: t.rateTitle, values: data.rate, tone: 'focus' }]}
              />
            </Panel>
            <Panel>
              <Chart
                label={t.errorTitle}
                unit="rate"
                times={data.times}
                sync="traffic"
                marks={marks}
                lines={[
                  { label: '5xx', values: data.status5xx, tone: 'bad' },
                  { label: '4xx', values: data.status4xx, tone: 'warn' },
                ]}
              />
            </Panel>
            <Panel>
              <Chart
                label={t.latencyTitle}
                unit="ms"
                times={data.times}
                sync="traffic"
                marks={marks}
                lines={[
                  { label: 'p99', values: data.p99, tone: 'bad' },
                  { label: 'p90', values: data.p90, tone: 'warn' },
                  { label: 'p50', values: data.p50, tone: 'good' },
                ]}
              />
            </Panel>
          </div>
        )
      }
    </Loaded>
  )
}
