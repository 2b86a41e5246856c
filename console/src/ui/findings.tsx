import { objectHref, parseOrigin } from '../api/kinds'
import type { FindingView, ObjectName } from '../api/types'
import { useCommon } from '../i18n/common'
import { A } from './A'
import { Status, toneOf } from './Status'

/** `HTTPRoute demo/shop`, leading to its page. */
export function ObjectLink({ object, pointer }: { object: ObjectName; pointer?: string }) {
  const href = objectHref(object)
  const name = object.namespace ? `${object.namespace}/${object.name}` : object.name
  const query = pointer ? `?tab=yaml&at=${encodeURIComponent(pointer)}` : ''
  return (
    <span style={{ overflowWrap: 'anywhere' }}>
      <span className="dim">{object.kind}</span> {href ? <A to={href + query}>{name}</A> : name}
      {pointer && <span className="dim mono"> {pointer}</span>}
    </span>
  )
}

/** A document as origins name it: `HTTPRoute demo/shop /spec/rules/0`. */
export function Origin({ text }: { text: string }) {
  const found = parseOrigin(text)
  if (!found) return <span>{text}</span>
  return <ObjectLink object={found} pointer={found.pointer || undefined} />
}

export function FindingCode({ code }: { code: string }) {
  const t = useCommon()
  return (
    <a
      className="link mono nowrap"
      href={`/errors/${code}`}
      target="_blank"
      rel="noreferrer"
      title={t.documentation}
    >
      {code}
    </a>
  )
}

export function FindingList({ findings }: { findings: readonly FindingView[] }) {
  const t = useCommon()
  return (
    <ul style={{ margin: 0, padding: 0, listStyle: 'none' }} className="stack tight">
      {findings.map((finding, index) => (
        <li key={index} className="row top" style={{ padding: '4px 0' }}>
          <Status tone={toneOf(finding.severity)}>{t[finding.severity]}</Status>
          <span className="grow">
            <FindingCode code={finding.code} />{' '}
            {finding.object && <ObjectLink object={finding.object} pointer={finding.pointer || undefined} />}
            {finding.line !== undefined && <span className="dim"> {t.line(finding.line)}</span>}
            <br />
            <span lang="en">{finding.text}</span>
            {finding.hint && (
              <span lang="en" className="dim">
                {' '}
                — {finding.hint}
              </span>
            )}
          </span>
        </li>
      ))}
    </ul>
  )
}
