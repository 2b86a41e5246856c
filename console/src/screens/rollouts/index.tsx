import { useMutation } from '@tanstack/react-query'
import { queries, useList } from '../../api/hooks'
import { send } from '../../api/http'
import { usePermission } from '../../api/me'
import type { GateState, Rollout } from '../../api/types'
import { texts, useTexts } from '../../i18n'
import { useFormat } from '../../i18n/format'
import { A } from '../../ui/A'
import { Age } from '../../ui/Age'
import { Act, Bar, CliButton, Facts, Page, Panel } from '../../ui/basics'
import { Status, type Tone } from '../../ui/Status'
import { Empty, ErrorCard, Loaded } from '../../ui/states'
import { Table } from '../../ui/Table'

const T = texts(
  {
    title: 'Rollouts',
    none: 'A ConfigRollout lets changes reach some proxies first, and returns by itself when they do badly.',
    make: 'Write a ConfigRollout',
    state: 'State',
    waiting: 'waits for a change',
    progressing: 'under way',
    paused: 'paused',
    returned: 'went back by itself',
    aborted: 'aborted',
    done: 'done',
    from: 'From',
    to: 'To',
    step: 'Step',
    stepOf: (step: number, steps: number) => `${step} of ${steps}`,
    proxies: 'Proxies with the new one',
    started: 'Began',
    gate: 'Gate',
    value: 'Now',
    limit: 'Limit',
    says: 'It says',
    passing: 'passes',
    failing: 'fails',
    unknown: 'not known yet',
    promote: 'Next step',
    pause: 'Pause',
    resume: 'Go on',
    abort: 'Abort',
    over: 'It is not under way',
    notPaused: 'It is not paused',
    gates: 'Gates',
  },
  {
    title: '分批发布',
    none: 'ConfigRollout 让变更先到达部分代理,表现不好时自动退回。',
    make: '编写 ConfigRollout',
    state: '状态',
    waiting: '等待变更',
    progressing: '进行中',
    paused: '已暂停',
    returned: '已自动退回',
    aborted: '已中止',
    done: '完成',
    from: '从',
    to: '到',
    step: '步骤',
    stepOf: (step, steps) => `${step} / ${steps}`,
    proxies: '已使用新配置的代理',
    started: '开始',
    gate: '门禁',
    value: '当前',
    limit: '上限',
    says: '说明',
    passing: '通过',
    failing: '未通过',
    unknown: '尚未知晓',
    promote: '下一步',
    pause: '暂停',
    resume: '继续',
    abort: '中止',
    over: '未在进行',
    notPaused: '没有暂停',
    gates: '门禁',
  },
)

const TONES: Record<Rollout['state'], Tone> = {
  waiting: 'idle',
  progressing: 'note',
  paused: 'warn',
  returned: 'bad',
  aborted: 'warn',
  done: 'good',
}

const GATES: Record<GateState['state'], Tone> = { passing: 'good', failing: 'bad', unknown: 'idle' }

export default function RolloutsScreen() {
  const t = useTexts(T)
  const rollouts = useList<Rollout>('/rollouts')
  return (
    <Page title={t.title} actions={<CliButton command="isthmus rollout status" />}>
      <Loaded query={rollouts}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty why="nothing" text={t.none} action={<A to="/documents/configrollouts">{t.make}</A>} />
          ) : (
            <div className="stack">
              {items.map(row => (
                <One key={`${row.namespace}/${row.name}/${row.gateway}`} rollout={row} />
              ))}
            </div>
          )
        }
      </Loaded>
    </Page>
  )
}

function One({ rollout }: { rollout: Rollout }) {
  const t = useTexts(T)
  const format = useFormat()
  const { namespace, name, state } = rollout
  const denied = usePermission('operator', namespace)
  const act = useMutation({
    mutationFn: (verb: string) => send(`/rollouts/${namespace}/${name}/${verb}`, { method: 'POST' }),
    onSettled: () => void queries.invalidateQueries({ queryKey: ['rollouts'] }),
  })
  const under = state === 'progressing' || state === 'paused'
  const over = under ? undefined : t.over
  const revision = (hash: string) => (hash ? <A to={`/revisions/${hash}`}>{hash.slice(0, 12)}</A> : undefined)
  return (
    <Panel
      title={
        <span className="row wrap">
          <A to={`/documents/configrollouts/${namespace}/${name}`}>{`${namespace}/${name}`}</A>
          <Status tone={TONES[state]}>{t[state]}</Status>
        </span>
      }
      actions={
        <>
          <Act why={denied ?? over} onClick={() => act.mutate('promote')}>
            {t.promote}
          </Act>
          {state === 'paused' ? (
            <Act why={denied} onClick={() => act.mutate('resume')}>
              {t.resume}
            </Act>
          ) : (
            <Act why={denied ?? over} onClick={() => act.mutate('pause')}>
              {t.pause}
            </Act>
          )}
          <Act why={denied ?? over} color="red" variant="light" onClick={() => act.mutate('abort')}>
            {t.abort}
          </Act>
        </>
      }
    >
      <div className="stack">
        {rollout.reason && <p lang="en">{rollout.reason}</p>}
        {act.error && <ErrorCard error={act.error} />}
        <Facts
          of={[
            [t.from, revision(rollout.from)],
            [t.to, revision(rollout.to)],
            [t.step, under && t.stepOf(rollout.step + 1, rollout.steps)],
            [t.proxies, `${rollout.proxies.length}/${rollout.total}`],
            [t.started, rollout.started && <Age at={rollout.started} ago />],
          ]}
        />
        <Bar
          label={`${t.proxies}: ${rollout.proxies.length}/${rollout.total}`}
          parts={[
            ['good', rollout.proxies.length],
            ['idle', rollout.total - rollout.proxies.length],
          ]}
        />
        {rollout.gates.length > 0 && (
          <Table
            label={t.gates}
            rows={rollout.gates}
            rowKey={gate => gate.name}
            columns={[
              { id: 'name', title: t.gate, cell: gate => <span className="mono">{gate.name}</span> },
              {
                id: 'state',
                title: t.state,
                cell: gate => <Status tone={GATES[gate.state]}>{t[gate.state]}</Status>,
              },
              { id: 'value', title: t.value, align: 'right', cell: gate => known(gate.value, format.number) },
              { id: 'limit', title: t.limit, align: 'right', cell: gate => known(gate.limit, format.number) },
              { id: 'text', title: t.says, cell: gate => <span lang="en">{gate.text}</span> },
            ]}
          />
        )}
      </div>
    </Panel>
  )
}

function known(value: number | undefined, format: (value: number, digits: number) => string): string {
  return value === undefined ? '–' : format(value, 3)
}
