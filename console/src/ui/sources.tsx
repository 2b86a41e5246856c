import { IconBook2, IconFileText, IconSailboat, IconServer2 } from '@tabler/icons-react'
import { A } from './A'

/** `kubernetes`, `file`, `registry:infra/n1` as small icons with words. */
export function SourceName({ of }: { of: string }) {
  const registry = of.startsWith('registry:') ? of.slice('registry:'.length) : undefined
  const Icon = registry
    ? IconBook2
    : of === 'kubernetes'
      ? IconSailboat
      : of === 'file'
        ? IconFileText
        : IconServer2
  return (
    <span className="row nowrap" style={{ gap: 4, display: 'inline-flex' }}>
      <Icon size={14} stroke={1.6} className="dim" aria-hidden />
      {registry ? <A to={`/registries/${registry}`}>{registry}</A> : of}
    </span>
  )
}

export function SourceNames({ of }: { of: readonly string[] }) {
  return (
    <span className="row wrap" style={{ gap: '0 10px' }}>
      {of.map(source => (
        <SourceName key={source} of={source} />
      ))}
    </span>
  )
}
