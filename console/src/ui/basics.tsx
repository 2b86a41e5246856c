// Panels, pages, facts, notices: what every screen is made of.

import './ui.css'
import { ActionIcon, type ActionIconProps, Button, type ButtonProps, Tooltip } from '@mantine/core'
import { IconCheck, IconCopy, IconTerminal2 } from '@tabler/icons-react'
import { type CSSProperties, type ReactNode, useEffect, useState } from 'react'
import { useCommon } from '../i18n/common'
import { type Tone, ToneIcon } from './Status'

export function Page(props: {
  title: ReactNode
  /** For the browser's tab, where the title is more than text. */
  name?: string
  crumbs?: ReactNode
  actions?: ReactNode
  children: ReactNode
}) {
  const { title, name, crumbs, actions, children } = props
  const text = name ?? (typeof title === 'string' ? title : '')
  useEffect(() => {
    document.title = text ? `${text} · Isthmus` : 'Isthmus'
  }, [text])
  return (
    <div className="page">
      <header>
        <div className="grow">
          {crumbs && <div className="crumbs">{crumbs}</div>}
          <h1>{title}</h1>
        </div>
        {actions && <div className="row wrap">{actions}</div>}
      </header>
      {children}
    </div>
  )
}

export function Panel(props: {
  title?: ReactNode
  actions?: ReactNode
  flush?: boolean
  children: ReactNode
}) {
  const { title, actions, flush, children } = props
  return (
    <section className="panel">
      {(title || actions) && (
        <header>
          <h2>{title}</h2>
          {actions && <div className="row wrap">{actions}</div>}
        </header>
      )}
      <div className={flush ? 'body flush' : 'body'}>{children}</div>
    </section>
  )
}

/** Names and values; those without a value are left out. */
export function Facts({ of }: { of: [string, ReactNode][] }) {
  return (
    <dl className="facts">
      {of
        .filter(([, value]) => value !== undefined && value !== null && value !== false && value !== '')
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  )
}

export function Stat({ name, value, note }: { name: ReactNode; value: ReactNode; note?: ReactNode }) {
  return (
    <div className="stat">
      <div className="dim">{name}</div>
      <div className="value">{value}</div>
      {note && <div className="dim">{note}</div>}
    </div>
  )
}

export function Notice(props: { tone: Tone; title?: ReactNode; children?: ReactNode; actions?: ReactNode }) {
  const { tone, title, children, actions } = props
  return (
    <div className={`notice tone-${tone}`} role={tone === 'bad' ? 'alert' : undefined}>
      <ToneIcon tone={tone} size={17} />
      <div>
        {title && <strong>{title}</strong>}
        {children && <div>{children}</div>}
      </div>
      {actions && <span className="row">{actions}</span>}
    </div>
  )
}

export function Chip({ children, title }: { children: ReactNode; title?: string }) {
  return (
    <span className="chip" title={title}>
      {children}
    </span>
  )
}

export function Chips({ of, empty = '–' }: { of: readonly string[]; empty?: string }) {
  if (of.length === 0) return <span className="dim">{empty}</span>
  return (
    <span className="row wrap" style={{ gap: 4 }}>
      {of.map(each => (
        <Chip key={each}>{each}</Chip>
      ))}
    </span>
  )
}

type ActProps = ButtonProps & {
  /** Why it cannot be done now; shown, and the button stays in the tab order so that it can be read. */
  why?: string
  onClick?: () => void
  type?: 'button' | 'submit'
  title?: string
}

/** A button that says why it cannot be used. */
export function Act({ why, onClick, children, type = 'button', ...rest }: ActProps) {
  const button = (
    <Button
      size="xs"
      variant="default"
      type={type}
      data-disabled={why ? true : undefined}
      aria-disabled={why ? true : undefined}
      onClick={event => (why ? event.preventDefault() : onClick?.())}
      {...rest}
    >
      {children}
    </Button>
  )
  return why ? <Tip text={why}>{button}</Tip> : button
}

export function Tip({ text, children }: { text: ReactNode; children: ReactNode }) {
  return (
    <Tooltip
      label={text}
      multiline
      maw={340}
      withArrow
      openDelay={150}
      events={{ hover: true, focus: true, touch: true }}
    >
      {children as React.ReactElement}
    </Tooltip>
  )
}

type IconActProps = Omit<ActionIconProps, 'onClick'> & {
  label: string
  onClick?: (event: React.MouseEvent) => void
  why?: string
  children: ReactNode
  pressed?: boolean
  /** Menus put themselves on their target by it. */
  ref?: React.Ref<HTMLButtonElement>
}

export function IconAct({ label, onClick, why, children, pressed, ...rest }: IconActProps) {
  return (
    <Tip text={why ?? label}>
      <ActionIcon
        variant="subtle"
        color="gray"
        size={30}
        aria-label={label}
        aria-pressed={pressed}
        aria-disabled={why ? true : undefined}
        data-disabled={why ? true : undefined}
        onClick={event => (why ? undefined : onClick?.(event))}
        {...rest}
      >
        {children}
      </ActionIcon>
    </Tip>
  )
}

export function useCopy(): [boolean, (text: string) => void] {
  const [copied, setCopied] = useState(false)
  useEffect(() => {
    if (!copied) return
    const timer = setTimeout(() => setCopied(false), 1500)
    return () => clearTimeout(timer)
  }, [copied])
  return [copied, text => void write(text).then(() => setCopied(true))]
}

async function write(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text)
  // Without TLS there is no clipboard API.
  const area = document.createElement('textarea')
  area.value = text
  document.body.append(area)
  area.select()
  document.execCommand('copy')
  area.remove()
}

export function CopyButton({ text, label }: { text: string; label?: string }) {
  const [copied, copy] = useCopy()
  const t = useCommon()
  if (!label) {
    return (
      <IconAct label={copied ? t.copied : t.copy} onClick={() => copy(text)}>
        {copied ? <IconCheck size={15} /> : <IconCopy size={15} />}
      </IconAct>
    )
  }
  return (
    <Act leftSection={copied ? <IconCheck size={14} /> : <IconCopy size={14} />} onClick={() => copy(text)}>
      {copied ? t.copied : label}
    </Act>
  )
}

/** A file of the browser's own making. */
export function saveFile(name: string, type: string, text: string): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob([text], { type }))
  link.download = name
  link.click()
  URL.revokeObjectURL(link.href)
}

/** The command that does the same. */
export function CliButton({ command }: { command: string }) {
  const [copied, copy] = useCopy()
  const t = useCommon()
  return (
    <IconAct label={copied ? t.copied : `${t.copyCli}: ${command}`} onClick={() => copy(command)}>
      {copied ? <IconCheck size={16} /> : <IconTerminal2 size={16} />}
    </IconAct>
  )
}

export function Code({ text, wrap, style }: { text: string; wrap?: boolean; style?: CSSProperties }) {
  return (
    <pre className={wrap ? 'code wrap' : 'code'} style={style} tabIndex={wrap ? undefined : 0}>
      {text}
    </pre>
  )
}

/** A unified diff. */
export function DiffText({ text }: { text: string }) {
  const lines = text.replace(/\n$/, '').split('\n')
  return (
    <pre className="code diff" tabIndex={0}>
      <code>
        {lines.map((line, index) => (
          <span
            key={index}
            className={
              line.startsWith('+')
                ? 'plus'
                : line.startsWith('-')
                  ? 'minus'
                  : line.startsWith('@')
                    ? 'at'
                    : undefined
            }
          >
            {line || ' '}
          </span>
        ))}
      </code>
    </pre>
  )
}

/** Parts of a whole, each with a tone. The words stand beside it. */
export function Bar({ parts, label }: { parts: [Tone, number][]; label: string }) {
  const total = parts.reduce((sum, [, count]) => sum + count, 0)
  return (
    <div className="bar" role="img" aria-label={label}>
      {parts
        .filter(([, count]) => count > 0)
        .map(([tone, count]) => (
          <span key={tone} className={`tone-${tone}`} style={{ width: `${(100 * count) / total}%` }} />
        ))}
    </div>
  )
}
