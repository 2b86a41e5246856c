import { useState } from 'react'
import { ROOT } from '../../api/http'
import type { Time } from '../../api/types'
import { texts, useTexts } from '../../i18n'
import { useFormat } from '../../i18n/format'
import { A } from '../../ui/A'
import { Age } from '../../ui/Age'
import { Act, Chips, Facts, Page } from '../../ui/basics'
import { Drawer } from '../../ui/overlays'
import { ResourceTable } from '../../ui/ResourceTable'
import { Status, type Tone } from '../../ui/Status'

const T = texts(
  {
    title: 'Audit',
    at: 'When',
    subject: 'Who',
    nobody: 'nobody known',
    via: 'By',
    verb: 'Did',
    objects: 'To',
    reason: 'Reason',
    result: 'Result',
    revision: 'Revision',
    changes: 'What differs',
    path: 'Path',
    address: 'Address',
    forwarded: 'Said to come for',
    requestId: 'Request id',
    code: 'Code',
    export: 'Export (JSON Lines)',
    empty: 'Nobody has written anything, or tried to, since this server keeps a record.',
    done: 'done',
    denied: 'not permitted',
    refused: 'refused',
    failed: 'failed',
  },
  {
    title: '审计',
    at: '时间',
    subject: '操作者',
    nobody: '未知身份',
    via: '途径',
    verb: '操作',
    objects: '对象',
    reason: '原因',
    result: '结果',
    revision: '版本',
    changes: '差异',
    path: '路径',
    address: '地址',
    forwarded: '声称来自',
    requestId: '请求 ID',
    code: '代码',
    export: '导出(JSON Lines)',
    empty: '自服务器开始记录以来,尚无写入或尝试写入。',
    done: '成功',
    denied: '无权限',
    refused: '被拒绝',
    failed: '失败',
  },
)

interface AuditRecord {
  at: Time
  subject: string
  via?: string
  client: string
  address?: string
  forwardedFor?: string
  verb: string
  path: string
  objects: string[]
  namespaces: string[]
  reason: string
  result: string
  status: number
  code?: string
  revision?: string
  changes: string[]
  requestId: string
}

const TONES: Record<string, Tone> = { done: 'good', denied: 'bad', refused: 'warn', failed: 'bad' }

export default function AuditScreen() {
  const t = useTexts(T)
  const [open, setOpen] = useState<AuditRecord>()
  const word = (result: string) => (t[result as keyof typeof t] as string | undefined) ?? result
  return (
    <Page title={t.title}>
      <ResourceTable<AuditRecord>
        label={t.title}
        path="/audit"
        rowKey={row => `${row.at} ${row.requestId}`}
        onRow={setOpen}
        every={10_000}
        cli="isthmus audit"
        empty={{ text: t.empty }}
        filters={[
          { param: 'subject', label: t.subject },
          { param: 'verb', label: t.verb },
          {
            param: 'result',
            label: t.result,
            options: ['done', 'denied', 'refused', 'failed'].map(value => ({ value, label: word(value) })),
          },
        ]}
        actions={
          <Act
            onClick={() => {
              location.href = `${ROOT}/audit/export`
            }}
          >
            {t.export}
          </Act>
        }
        columns={[
          { id: 'at', title: t.at, sort: 'at', tight: true, cell: row => <Age at={row.at} ago /> },
          {
            id: 'subject',
            title: t.subject,
            cell: row => row.subject || <span className="dim">{t.nobody}</span>,
          },
          { id: 'via', title: t.via, cell: row => [row.via, row.client].filter(Boolean).join(', ') },
          { id: 'verb', title: t.verb, tight: true, cell: row => <span className="mono">{row.verb}</span> },
          { id: 'objects', title: t.objects, cell: row => <Objects of={row} /> },
          { id: 'reason', title: t.reason, cell: row => row.reason },
          {
            id: 'result',
            title: t.result,
            cell: row => <Status tone={TONES[row.result] ?? 'note'}>{word(row.result)}</Status>,
          },
          {
            id: 'revision',
            title: t.revision,
            cell: row => row.revision && <A to={`/revisions/${row.revision}`}>{row.revision}</A>,
          },
        ]}
      />
      {open && <Detail row={open} word={word(open.result)} close={() => setOpen(undefined)} />}
    </Page>
  )
}

function Objects({ of }: { of: AuditRecord }) {
  if (of.objects.length === 0) return <span className="mono dim">{of.path}</span>
  const more = of.objects.length > 2 ? [`+${of.objects.length - 2}`] : []
  return <Chips of={[...of.objects.slice(0, 2), ...more]} />
}

function Detail({ row, word, close }: { row: AuditRecord; word: string; close: () => void }) {
  const t = useTexts(T)
  const format = useFormat()
  return (
    <Drawer title={`${row.subject || t.nobody}: ${row.verb}`} onClose={close}>
      <div className="stack">
        <Status tone={TONES[row.result] ?? 'note'}>
          {word} ({row.status})
        </Status>
        <Facts
          of={[
            [t.at, format.dateTime(row.at)],
            [t.via, [row.via, row.client].filter(Boolean).join(', ')],
            [t.address, row.address],
            [t.forwarded, row.forwardedFor],
            [
              t.path,
              <span key="path" className="mono">
                {row.path}
              </span>,
            ],
            [t.objects, row.objects.length > 0 && <Chips of={row.objects} />],
            [t.reason, row.reason],
            [
              t.code,
              row.code && (
                <a className="link mono" href={`/errors/${row.code}`}>
                  {row.code}
                </a>
              ),
            ],
            [t.revision, row.revision && <A to={`/revisions/${row.revision}`}>{row.revision}</A>],
            [
              t.requestId,
              <span key="id" className="mono">
                {row.requestId}
              </span>,
            ],
          ]}
        />
        {row.changes.length > 0 && (
          <>
            <h3>{t.changes}</h3>
            <ul>
              {row.changes.map(change => (
                <li key={change} className="mono">
                  {change}
                </li>
              ))}
            </ul>
          </>
        )}
      </div>
    </Drawer>
  )
}
