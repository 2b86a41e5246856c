import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { queries, useApi } from '../../api/hooks'
import { send } from '../../api/http'
import { useMe, usePermission, writeModes } from '../../api/me'
import type { Grant, Role, Time } from '../../api/types'
import { texts, useTexts } from '../../i18n'
import { useCommon } from '../../i18n/common'
import { useFormat } from '../../i18n/format'
import { Age } from '../../ui/Age'
import { Act, Chips, CopyButton, Facts, Notice, Page, Panel } from '../../ui/basics'
import { NumberField, SelectField, TextField } from '../../ui/form'
import { Dialog } from '../../ui/overlays'
import { ResourceTable } from '../../ui/ResourceTable'
import { ErrorCard, Loaded } from '../../ui/states'
import { Table } from '../../ui/Table'
import { Tabs } from '../../ui/Tabs'

const T = texts(
  {
    title: 'Access',
    me: 'You',
    subject: 'Who',
    via: 'Known by',
    roles: 'Roles',
    writeMode: 'Writes',
    version: 'Version',
    replica: 'Replica',
    nobodyAsked:
      'There is no login: whoever reaches this address may do everything. It is served on loopback only.',
    tokens: 'Tokens',
    bindings: 'Bindings',
    newToken: 'New token',
    tokenName: 'What it is for',
    role: 'Role',
    namespaces: 'Namespaces',
    namespacesHint: '* for all; shop-* for all that begin so; commas between them',
    days: 'Days that it lives',
    make: 'Make it',
    once: 'This is the token. It is not shown again.',
    by: 'Made by',
    created: 'Made',
    expires: 'Ends',
    lastUsed: 'Last used',
    revoke: 'Revoke',
    revokeText: (name: string) => `Whoever uses ${name} is out at once.`,
    noTokens: 'There are no tokens yet.',
    bindingsText:
      'Who has which role where: user:NAME, group:NAME or token:ID. Each role may all that those before it may.',
    add: 'Add',
    remove: 'Remove',
    saveBindings: 'Save bindings',
    noBindings: 'Nobody but holders of tokens has a role.',
    viewer: 'viewer: looks',
    editor: 'editor: writes documents',
    operator: 'operator: steers what runs',
    admin: 'admin: says who may what',
  },
  {
    title: '访问控制',
    me: '您',
    subject: '身份',
    via: '认证方式',
    roles: '角色',
    writeMode: '写入',
    version: '版本',
    replica: '副本',
    nobodyAsked: '未启用登录:任何能访问此地址的人都可执行所有操作。仅在本机回环地址上提供。',
    tokens: '令牌',
    bindings: '授权',
    newToken: '新建令牌',
    tokenName: '用途',
    role: '角色',
    namespaces: '命名空间',
    namespacesHint: '* 表示全部;shop-* 表示以此开头的;用逗号分隔',
    days: '有效天数',
    make: '创建',
    once: '这是令牌,之后不再显示。',
    by: '创建者',
    created: '创建',
    expires: '到期',
    lastUsed: '最近使用',
    revoke: '吊销',
    revokeText: name => `使用 ${name} 的一切访问将立即失效。`,
    noTokens: '还没有令牌。',
    bindingsText:
      '谁在哪里拥有什么角色:user:名称、group:名称 或 token:ID。后面的角色包含前面角色的全部权限。',
    add: '添加',
    remove: '移除',
    saveBindings: '保存授权',
    noBindings: '除令牌持有者外,没有人拥有角色。',
    viewer: 'viewer:查看',
    editor: 'editor:编写文档',
    operator: 'operator:操作运行中的内容',
    admin: 'admin:管理权限',
  },
)

interface Token {
  id: string
  name: string
  grants: Grant[]
  created: Time
  by: string
  expires: Time
  lastUsed?: Time
}

interface Binding {
  subject: string
  role: Role
  namespaces: string[]
}

const ROLES: Role[] = ['viewer', 'editor', 'operator', 'admin']
const DAY = 86_400_000

function namespacesOf(text: string): string[] {
  return text.split(/[\s,]+/).filter(Boolean)
}

function grantText(grant: { role: Role; namespaces: string[] }): string {
  return `${grant.role}: ${grant.namespaces.join(', ')}`
}

export default function AccessScreen() {
  const t = useTexts(T)
  const me = useMe()
  return (
    <Page title={t.title}>
      {me.via === 'nobody' && <Notice tone="warn">{t.nobodyAsked}</Notice>}
      <Panel title={t.me}>
        <Facts
          of={[
            [t.subject, me.subject],
            [t.via, me.via],
            [t.roles, <Chips key="roles" of={me.roles.map(grantText)} />],
            [t.writeMode, writeModes(me)],
            [t.version, me.version],
            [t.replica, me.replica],
          ]}
        />
      </Panel>
      <Tabs
        label={t.title}
        tabs={[
          { id: 'tokens', title: t.tokens, show: () => <Tokens /> },
          { id: 'bindings', title: t.bindings, show: () => <Bindings /> },
        ]}
      />
    </Page>
  )
}

function Tokens() {
  const t = useTexts(T)
  const denied = usePermission('admin')
  const [making, setMaking] = useState(false)
  const [revoking, setRevoking] = useState<Token>()
  return (
    <>
      <ResourceTable<Token>
        label={t.tokens}
        path="/tokens"
        rowKey={row => row.id}
        cli="isthmus token list"
        empty={{ text: t.noTokens }}
        actions={
          <Act variant="filled" why={denied} onClick={() => setMaking(true)}>
            {t.newToken}
          </Act>
        }
        columns={[
          { id: 'name', title: t.tokenName, sort: 'name', cell: row => row.name },
          { id: 'id', title: 'ID', cell: row => <span className="mono dim">{row.id}</span> },
          { id: 'roles', title: t.roles, cell: row => <Chips of={row.grants.map(grantText)} /> },
          { id: 'by', title: t.by, cell: row => row.by },
          { id: 'created', title: t.created, sort: 'created', cell: row => <Age at={row.created} ago /> },
          { id: 'expires', title: t.expires, sort: 'expires', cell: row => <Ends at={row.expires} /> },
          { id: 'lastUsed', title: t.lastUsed, cell: row => <Age at={row.lastUsed} ago /> },
          {
            id: 'revoke',
            title: '',
            align: 'right',
            cell: row => (
              <Act why={denied} color="red" variant="subtle" onClick={() => setRevoking(row)}>
                {t.revoke}
              </Act>
            ),
          },
        ]}
      />
      {making && <NewToken close={() => setMaking(false)} />}
      {revoking && <Revoke token={revoking} close={() => setRevoking(undefined)} />}
    </>
  )
}

function Ends({ at }: { at: Time }) {
  const format = useFormat()
  return (
    <time dateTime={at} title={format.dateTime(at)} className="nowrap">
      {new Date(at).toLocaleDateString(format.language)}
    </time>
  )
}

function NewToken({ close }: { close: () => void }) {
  const t = useTexts(T)
  const common = useCommon()
  const [name, setName] = useState('')
  const [role, setRole] = useState<Role>('viewer')
  const [namespaces, setNamespaces] = useState('*')
  const [days, setDays] = useState(90)
  const make = useMutation({
    mutationFn: async () => {
      const grants = [{ role, namespaces: namespacesOf(namespaces) }]
      const expires = new Date(Date.now() + days * DAY).toISOString()
      const body = { name, grants, expires }
      return (await send<{ token: string }>('/tokens', { method: 'POST', body })).data.token
    },
    onSuccess: () => void queries.invalidateQueries({ queryKey: ['tokens'] }),
  })
  return (
    <Dialog title={t.newToken} onClose={close}>
      {make.data ? (
        <div className="stack">
          <Notice tone="note">{t.once}</Notice>
          <code className="code wrap" data-testid="token">
            {make.data}
          </code>
          <div className="row wrap spread">
            <CopyButton text={make.data} label={common.copy} />
            <Act variant="filled" onClick={close}>
              {common.close}
            </Act>
          </div>
        </div>
      ) : (
        <form
          className="stack"
          onSubmit={event => {
            event.preventDefault()
            make.mutate()
          }}
        >
          <TextField label={t.tokenName} required value={name} onChange={setName} autoComplete="off" />
          <div className="row wrap top">
            <RoleField value={role} onChange={setRole} />
            <TextField
              label={t.namespaces}
              description={t.namespacesHint}
              inputWrapperOrder={['label', 'input', 'description']}
              required
              value={namespaces}
              onChange={setNamespaces}
              style={{ flex: '1 1 200px' }}
            />
            <NumberField
              label={t.days}
              w={130}
              min={1}
              max={3650}
              value={days}
              onChange={value => setDays(value ?? 90)}
            />
          </div>
          {make.error && <ErrorCard error={make.error} />}
          <div className="row spread">
            <Act onClick={close}>{common.cancel}</Act>
            <Act
              variant="filled"
              type="submit"
              loading={make.isPending}
              why={name.trim() && namespacesOf(namespaces).length > 0 ? undefined : t.tokenName}
            >
              {t.make}
            </Act>
          </div>
        </form>
      )}
    </Dialog>
  )
}

function RoleField({ value, onChange }: { value: Role; onChange: (role: Role) => void }) {
  const t = useTexts(T)
  return (
    <SelectField
      label={t.role}
      value={value}
      data={ROLES.map(role => ({ value: role, label: t[role] }))}
      onChange={next => onChange(next as Role)}
      style={{ flex: '1 1 200px' }}
    />
  )
}

function Revoke({ token, close }: { token: Token; close: () => void }) {
  const t = useTexts(T)
  const common = useCommon()
  const revoke = useMutation({
    mutationFn: () => send(`/tokens/${encodeURIComponent(token.id)}`, { method: 'DELETE' }),
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: ['tokens'] })
      close()
    },
  })
  return (
    <Dialog title={`${t.revoke}: ${token.name}`} onClose={close}>
      <div className="stack">
        <p>{t.revokeText(token.name)}</p>
        {revoke.error && <ErrorCard error={revoke.error} />}
        <div className="row spread">
          <Act onClick={close}>{common.cancel}</Act>
          <Act variant="filled" color="red.8" loading={revoke.isPending} onClick={() => revoke.mutate()}>
            {t.revoke}
          </Act>
        </div>
      </div>
    </Dialog>
  )
}

function Bindings() {
  const bindings = useApi<{ items: Binding[] }>('/bindings')
  return (
    <Loaded query={bindings}>
      {({ items }) => <EditBindings key={JSON.stringify(items)} items={items} />}
    </Loaded>
  )
}

function EditBindings({ items }: { items: Binding[] }) {
  const t = useTexts(T)
  const denied = usePermission('admin')
  const [rows, setRows] = useState(items)
  const [subject, setSubject] = useState('')
  const [role, setRole] = useState<Role>('viewer')
  const [namespaces, setNamespaces] = useState('*')
  const save = useMutation({
    mutationFn: async () => {
      const { etag } = await send('/bindings')
      return send('/bindings', {
        method: 'PUT',
        body: { items: rows },
        headers: etag ? { 'if-match': etag } : {},
      })
    },
    onSuccess: () => void queries.invalidateQueries({ queryKey: ['bindings'] }),
  })
  const same = JSON.stringify(rows) === JSON.stringify(items)
  const good = /^(user|group|token):\S+$/.test(subject) && namespacesOf(namespaces).length > 0
  return (
    <Panel title={t.bindings}>
      <div className="stack">
        <p className="dim">{t.bindingsText}</p>
        <Table
          label={t.bindings}
          rows={rows}
          rowKey={(row, index) => `${index} ${row.subject}`}
          empty={<span className="dim">{t.noBindings}</span>}
          columns={[
            { id: 'subject', title: t.subject, cell: row => <span className="mono">{row.subject}</span> },
            { id: 'role', title: t.role, cell: row => t[row.role] },
            { id: 'namespaces', title: t.namespaces, cell: row => <Chips of={row.namespaces} /> },
            {
              id: 'remove',
              title: '',
              align: 'right',
              cell: row => (
                <Act variant="subtle" why={denied} onClick={() => setRows(rows.filter(each => each !== row))}>
                  {t.remove}
                </Act>
              ),
            },
          ]}
        />
        <div className="row wrap top">
          <TextField
            label={t.subject}
            placeholder="user:name@example.com"
            value={subject}
            onChange={setSubject}
            style={{ flex: '1 1 220px' }}
          />
          <RoleField value={role} onChange={setRole} />
          <TextField
            label={t.namespaces}
            value={namespaces}
            onChange={setNamespaces}
            style={{ flex: '1 1 160px' }}
          />
        </div>
        {save.error && <ErrorCard error={save.error} />}
        <div className="row wrap">
          <Act
            why={denied ?? (good ? undefined : 'user:… group:… token:…')}
            onClick={() => {
              setRows([...rows, { subject, role, namespaces: namespacesOf(namespaces) }])
              setSubject('')
            }}
          >
            {t.add}
          </Act>
          <Act
            variant="filled"
            why={denied ?? (same ? t.bindings : undefined)}
            loading={save.isPending}
            onClick={() => save.mutate()}
          >
            {t.saveBindings}
          </Act>
        </div>
      </div>
    </Panel>
  )
}
