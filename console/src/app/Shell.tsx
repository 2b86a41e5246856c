import { useMantineColorScheme } from '@mantine/core'
import {
  IconBroadcast,
  IconLanguage,
  IconMenu2,
  IconMoonStars,
  IconPlayerPause,
  IconPlugConnectedX,
  IconSearch,
  IconSunHigh,
  IconUserCircle,
} from '@tabler/icons-react'
import { Outlet, useRouterState } from '@tanstack/react-router'
import { useEffect, useState } from 'react'
import { queries, useList } from '../api/hooks'
import { send } from '../api/http'
import { useMe, writeMode } from '../api/me'
import type { Document, FindingView } from '../api/types'
import { setPaused } from '../api/watch'
import { useLanguage, useTexts } from '../i18n'
import { useCommon } from '../i18n/common'
import { useAge, useFormat } from '../i18n/format'
import { PreviewProvider } from '../preview'
import { A } from '../ui/A'
import { Act, IconAct, Notice, Tip } from '../ui/basics'
import { SelectField } from '../ui/form'
import { Menu } from '../ui/overlays'
import { ToastProvider } from '../ui/toasts'
import { useLive } from './live'
import { useAddress } from './location'
import { NAV } from './nav'
import { Search } from './Search'
import { T } from './texts'

export function Root() {
  return (
    <ToastProvider>
      <PreviewProvider>
        <Shell />
      </PreviewProvider>
    </ToastProvider>
  )
}

function Shell() {
  const t = useTexts(T)
  const [searching, setSearching] = useState(false)
  const [rail, setRail] = useState(false)
  const path = useRouterState({ select: state => state.location.pathname })
  // biome-ignore lint/correctness/useExhaustiveDependencies: another screen closes the rail of small windows
  useEffect(() => setRail(false), [path])
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
        event.preventDefault()
        setSearching(true)
      }
      if (event.key === 'Escape') setRail(false)
    }
    addEventListener('keydown', onKey)
    return () => removeEventListener('keydown', onKey)
  }, [])
  return (
    <div className="shell">
      <a className="skip link" href="#main">
        {t.skip}
      </a>
      <Rail open={rail} path={path} />
      <header className="topbar">
        <span className="burger">
          <IconAct label={t.menu} pressed={rail} onClick={() => setRail(!rail)}>
            <IconMenu2 size={18} />
          </IconAct>
        </span>
        <Scope />
        <button type="button" className="searchbox" onClick={() => setSearching(true)}>
          <IconSearch size={14} style={{ flex: 'none' }} />
          <span className="grow cut" style={{ textAlign: 'left' }}>
            {t.searchHint}
          </span>
          <kbd className="dim wide" style={{ fontSize: 11 }}>
            Ctrl K
          </kbd>
        </button>
        <span className="grow" />
        <LiveButton />
        <LanguageMenu />
        <ThemeMenu />
        <UserMenu />
      </header>
      <main className="main" id="main" tabIndex={-1}>
        <Banners />
        <Outlet />
      </main>
      {searching && <Search close={() => setSearching(false)} />}
    </div>
  )
}

function Rail({ open, path }: { open: boolean; path: string }) {
  const t = useTexts(T)
  const problems = useList<FindingView>('/problems', { severity: 'error', limit: 1 })
  const here = current(path)
  return (
    <aside className={open ? 'rail open' : 'rail'}>
      <A to="/" className="brand">
        <img src="/icon.svg" width={24} height={24} alt="" />
        Isthmus
      </A>
      <nav aria-label={t.navigation}>
        {NAV.map(group => (
          <div key={group.title ?? ''}>
            {group.title && <h2>{t[group.title] as string}</h2>}
            <ul>
              {group.items.map(({ to, title, icon: Icon }) => {
                const errors = to === '/problems' ? (problems.data?.total ?? 0) : 0
                return (
                  <li key={to}>
                    <NavLink to={to} here={to === here}>
                      <Icon size={17} stroke={1.7} />
                      <span className="cut">{t[title] as string}</span>
                      {errors > 0 && <span className="count">{errors}</span>}
                    </NavLink>
                  </li>
                )
              })}
            </ul>
          </div>
        ))}
      </nav>
    </aside>
  )
}

/** The entry of the rail with the longest path that the address begins with. */
function current(path: string): string {
  const all = NAV.flatMap(group => group.items.map(item => item.to))
  const fits = all.filter(to => (to === '/' ? path === '/' : path === to || path.startsWith(`${to}/`)))
  return fits.sort((a, b) => b.length - a.length)[0] ?? ''
}

function NavLink({ to, here, children }: { to: string; here: boolean; children: React.ReactNode }) {
  return (
    <A to={to} className={here ? 'here' : ''} current={here}>
      {children}
    </A>
  )
}

function Scope() {
  const t = useTexts(T)
  const [search, setSearch] = useAddress()
  const namespaces = useNamespaces()
  const ns = search.ns ?? ''
  const options = [...new Set([...namespaces, ...(ns ? [ns] : [])])].sort()
  return (
    <SelectField
      aria-label={t.scope}
      w={170}
      searchable={options.length > 12}
      value={ns}
      data={[{ value: '', label: t.scopeAll }, ...options.map(value => ({ value, label: value }))]}
      onChange={value => setSearch({ ns: value, cursor: undefined }, true)}
    />
  )
}

/** Namespaces that anything is in: Namespace objects are not there in file mode. */
function useNamespaces(): string[] {
  const objects = useList<Document>('/namespaces', { limit: 1000 })
  const services = useList<{ namespace: string }>('/services', { limit: 1000 })
  const gateways = useList<Document>('/gateways', { limit: 1000 })
  const names = [
    ...(objects.data?.items.map(each => each.metadata.name) ?? []),
    ...(services.data?.items.map(each => each.namespace) ?? []),
    ...(gateways.data?.items.map(each => each.metadata.namespace ?? '') ?? []),
  ]
  return [...new Set(names)].filter(Boolean)
}

function LiveButton() {
  const t = useTexts(T)
  const live = useLive()
  const { clock } = useFormat()
  if (live.mode === 'paused') {
    return (
      <Tip text={t.pausedTip}>
        <button type="button" className="th-button tone-warn" onClick={() => setPaused(false)}>
          <IconPlayerPause size={15} aria-hidden />
          {t.pausedSince(clock(live.since))}
        </button>
      </Tip>
    )
  }
  if (live.mode === 'polling') return <Polling since={live.since} />
  return (
    <Tip text={live.mode === 'live' ? t.liveTip : t.connecting}>
      <button
        type="button"
        className={live.mode === 'live' ? 'th-button tone-good' : 'th-button tone-idle'}
        onClick={() => setPaused(true)}
      >
        <IconBroadcast size={15} aria-hidden />
        {live.mode === 'live' ? t.live : t.connecting}
      </button>
    </Tip>
  )
}

function Polling({ since }: { since: number }) {
  const t = useTexts(T)
  const age = useAge(since)
  return (
    <Tip text={t.liveTip}>
      <button type="button" className="th-button tone-warn" onClick={() => setPaused(true)}>
        <IconPlugConnectedX size={15} aria-hidden />
        {t.polling(age)}
      </button>
    </Tip>
  )
}

function LanguageMenu() {
  const t = useTexts(T)
  const { setLanguage } = useLanguage()
  return (
    <Menu
      label={t.language}
      target={
        <IconAct label={t.language}>
          <IconLanguage size={18} />
        </IconAct>
      }
      items={[
        { label: 'English', onClick: () => setLanguage('en') },
        { label: '简体中文', onClick: () => setLanguage('zh-CN') },
      ]}
    />
  )
}

function ThemeMenu() {
  const t = useTexts(T)
  const { setColorScheme, colorScheme } = useMantineColorScheme()
  return (
    <Menu
      label={t.theme}
      target={
        <IconAct label={t.theme}>
          {colorScheme === 'light' ? <IconSunHigh size={18} /> : <IconMoonStars size={18} />}
        </IconAct>
      }
      items={[
        { label: t.themeAuto, onClick: () => setColorScheme('auto') },
        { label: t.themeLight, onClick: () => setColorScheme('light') },
        { label: t.themeDark, onClick: () => setColorScheme('dark') },
      ]}
    />
  )
}

function UserMenu() {
  const t = useTexts(T)
  const me = useMe()
  const roles = me.roles.map(grant => `${grant.role}: ${grant.namespaces.join(', ')}`).join('; ')
  return (
    <Menu
      label={`${me.subject} · ${roles}`}
      target={
        <IconAct label={`${t.user}: ${me.subject}`}>
          <IconUserCircle size={18} />
        </IconAct>
      }
      items={[
        {
          label: t.logout,
          why: me.via === 'session' ? undefined : t.openBanner,
          onClick: () =>
            void send('/logout', { method: 'POST' }).finally(() =>
              queries.resetQueries({ queryKey: ['me'] }),
            ),
        },
      ]}
    />
  )
}

function Banners() {
  const t = useTexts(T)
  const me = useMe()
  const common = useCommon()
  const [{ ns }] = useAddress()
  // What is looked at: one object, or a scope.
  const of = useRouterState({ select: state => state.matches.at(-1)?.params as { namespace?: string } })
  const namespace = of?.namespace || ns
  const mode = writeMode(me, namespace)
  const others = (me.writeModes ?? []).filter(each => each.mode !== me.writeMode)
  const modes = others.map(each => `${each.namespaces}: ${each.mode}`).join(', ')
  return (
    <>
      {mode === 'propose' && <Strip tone="note" text={t.proposeBanner(me.owner ?? '')} />}
      {mode === 'off' && <Strip tone="note" text={common.writesOff(me.owner ?? '')} />}
      {!namespace && modes && <Strip tone="note" text={t.modes(modes)} />}
    </>
  )
}

function Strip({ tone, text }: { tone: 'note' | 'warn'; text: string }) {
  return (
    <div style={{ padding: '10px 20px 0' }}>
      <Notice tone={tone}>{text}</Notice>
    </div>
  )
}

export function NotFound() {
  const t = useTexts(T)
  return (
    <div className="empty">
      <h3>{t.notFound}</h3>
      <p>{t.notFoundText}</p>
    </div>
  )
}

export function Crashed({ error, reset }: { error: unknown; reset: () => void }) {
  const t = useTexts(T)
  return (
    <div style={{ padding: 20 }}>
      <Notice tone="bad" title={t.crashed} actions={<Act onClick={reset}>↻</Act>}>
        {t.crashedText} <span className="mono">{String(error)}</span>
      </Notice>
    </div>
  )
}
