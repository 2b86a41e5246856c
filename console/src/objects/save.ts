import { stringify } from 'yaml'
import { documentPath, type KindInfo } from '../api/kinds'
import type { ChangeReport, Document } from '../api/types'
import { useTexts } from '../i18n'
import { usePreview } from '../preview'
import { T } from './texts'

/** A document as people write it: without what the server adds. */
export function toYaml({ status: _, ...document }: Document): string {
  return stringify(document, { lineWidth: 0 })
}

interface Saving {
  info: KindInfo
  namespace: string
  name: string
  /** The whole document; comments are kept. */
  text: string
  /** Of the document that was read; without one it is to be created. */
  etag?: string | null
  base?: Document
  done?: (report: ChangeReport) => void
}

/** Opens the preview of writing, or of deleting, one document. */
export function useSave() {
  const t = useTexts(T)
  const preview = usePreview()
  return {
    save: ({ info, namespace, name, text, etag, base, done }: Saving) => {
      const full = namespace ? `${namespace}/${name}` : name
      preview({
        title: etag ? t.saveTitle(`${info.kind} ${full}`) : t.createTitle(`${info.kind} ${full}`),
        cli: `isthmus apply -f - <<'EOF'\n${text.trimEnd()}\nEOF`,
        base,
        done,
        write: {
          method: 'PUT',
          path: documentPath(info, namespace, name),
          body: text,
          headers: etag ? { 'if-match': etag } : { 'if-none-match': '*' },
        },
      })
    },
    remove: ({ info, namespace, name, etag, done }: Omit<Saving, 'text'>) => {
      const full = namespace ? `${namespace}/${name}` : name
      preview({
        title: t.removeTitle(`${info.kind} ${full}`),
        confirm: name,
        cli: `isthmus delete ${info.plural} ${name}${namespace ? ` -n ${namespace}` : ''}`,
        done,
        write: {
          method: 'DELETE',
          path: documentPath(info, namespace, name),
          headers: { 'if-match': etag ?? '*' },
        },
      })
    },
  }
}
