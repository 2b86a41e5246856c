// CodeMirror with YAML. The server is the only one who says what is wrong; here its findings get their place.

import {
  autocompletion,
  closeBrackets,
  closeBracketsKeymap,
  completionKeymap,
} from '@codemirror/autocomplete'
import { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands'
import { yaml as yamlLanguage } from '@codemirror/lang-yaml'
import {
  bracketMatching,
  foldGutter,
  foldKeymap,
  HighlightStyle,
  indentUnit,
  syntaxHighlighting,
} from '@codemirror/language'
import { type Diagnostic, lintGutter, lintKeymap, setDiagnostics } from '@codemirror/lint'
import { MergeView } from '@codemirror/merge'
import { highlightSelectionMatches, searchKeymap } from '@codemirror/search'
import { EditorState, type Extension } from '@codemirror/state'
import { drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers } from '@codemirror/view'
import { tags } from '@lezer/highlight'
import { useEffect, useRef } from 'react'
import { send } from '../../api/http'
import type { FindingView } from '../../api/types'
import type { CodeEditorProps } from '../CodeEditor'
import { schemaCompletion } from './complete'
import { rangeOf } from './place'

const WAIT = 400

const colours = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: 'var(--link)' },
  { tag: [tags.string, tags.special(tags.string)], color: 'var(--good)' },
  { tag: [tags.number, tags.bool, tags.null, tags.keyword], color: 'var(--warn)' },
  { tag: tags.comment, color: 'var(--dim)', fontStyle: 'italic' },
])

const look = EditorView.theme({
  '&': { color: 'var(--text)', backgroundColor: 'var(--surface)' },
  '.cm-gutters': { backgroundColor: 'var(--sunken)', color: 'var(--dim)', border: 'none' },
  '.cm-activeLine': { backgroundColor: 'color-mix(in srgb, var(--select) 45%, transparent)' },
  '.cm-cursor': { borderLeftColor: 'var(--text)' },
  '&.cm-focused .cm-selectionBackground, .cm-selectionBackground': {
    backgroundColor: 'var(--select) !important',
  },
  '.cm-tooltip': {
    backgroundColor: 'var(--raised)',
    border: '1px solid var(--line-strong)',
    color: 'var(--text)',
  },
  '.cm-tooltip-autocomplete ul li[aria-selected]': { backgroundColor: 'var(--select)', color: 'var(--text)' },
  '.cm-panels': { backgroundColor: 'var(--raised)', color: 'var(--text)' },
  '.cm-diagnostic': { padding: '4px 10px' },
  '.cm-changedLine': { backgroundColor: 'var(--note-soft) !important' },
  // Merge views have one look for both themes: a light one.
  '.cm-collapsedLines': { background: 'var(--sunken)', color: 'var(--dim)' },
})

function nonce(): string | undefined {
  const found = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content
  return found && !found.startsWith('__') ? found : undefined
}

function basics(label: string, readOnly: boolean): Extension[] {
  const secret = nonce()
  return [
    ...(secret ? [EditorView.cspNonce.of(secret)] : []),
    lineNumbers(),
    foldGutter(),
    drawSelection(),
    bracketMatching(),
    indentUnit.of('  '),
    yamlLanguage(),
    syntaxHighlighting(colours),
    look,
    // A tab stop also where nothing can be typed: it scrolls.
    EditorView.contentAttributes.of({ 'aria-label': label, tabindex: '0' }),
    EditorView.lineWrapping,
    highlightSelectionMatches(),
    ...(readOnly
      ? [EditorState.readOnly.of(true)]
      : [highlightActiveLine(), history(), closeBrackets(), lintGutter()]),
    // Escape, then Tab leaves the editor: nobody is trapped in it.
    keymap.of([
      ...closeBracketsKeymap,
      ...defaultKeymap,
      ...searchKeymap,
      ...historyKeymap,
      ...foldKeymap,
      ...completionKeymap,
      ...lintKeymap,
      ...(readOnly ? [] : [indentWithTab]),
    ]),
  ]
}

export default function Editor(props: CodeEditorProps) {
  const { value, readOnly = false, label, kind, at, validate, original } = props
  const box = useRef<HTMLDivElement>(null)
  const view = useRef<EditorView>(undefined)
  const told = useRef(props)
  told.current = props

  // biome-ignore lint/correctness/useExhaustiveDependencies: the editor owns its text from here on
  useEffect(() => {
    const parent = box.current
    if (!parent) return
    if (original !== undefined) {
      const merge = new MergeView({
        parent,
        a: { doc: original, extensions: basics(label, true) },
        b: { doc: value, extensions: basics(label, true) },
        collapseUnchanged: { margin: 3, minSize: 6 },
      })
      return () => merge.destroy()
    }
    let timer: ReturnType<typeof setTimeout> | undefined
    let running: AbortController | undefined
    const check = (editor: EditorView) => {
      running?.abort()
      running = new AbortController()
      const text = editor.state.doc.toString()
      send<{ findings: FindingView[] }>('/validate', { method: 'POST', body: text, signal: running.signal })
        .then(({ data }) => {
          if (editor.state.doc.toString() !== text) return
          const marks: Diagnostic[] = data.findings.map(finding => ({
            ...rangeOf(text, finding),
            severity: finding.severity,
            source: finding.code,
            message: finding.hint ? `${finding.text}\n${finding.hint}` : finding.text,
          }))
          editor.dispatch(setDiagnostics(editor.state, marks))
          told.current.onFindings?.(data.findings)
        })
        // An editor without marks is still an editor; the preview asks again.
        .catch(() => undefined)
    }
    const editor = new EditorView({
      parent,
      doc: value,
      extensions: [
        ...basics(label, readOnly),
        ...(kind && !readOnly ? [autocompletion({ override: [schemaCompletion(kind)] })] : []),
        EditorView.updateListener.of(update => {
          if (!update.docChanged) return
          told.current.onChange?.(update.state.doc.toString())
          if (!validate) return
          clearTimeout(timer)
          timer = setTimeout(() => check(update.view), WAIT)
        }),
      ],
    })
    view.current = editor
    if (validate) check(editor)
    if (at) {
      const range = rangeOf(value, { pointer: at })
      editor.dispatch({
        selection: { anchor: range.from },
        effects: EditorView.scrollIntoView(range.from, { y: 'center' }),
      })
    }
    return () => {
      clearTimeout(timer)
      running?.abort()
      editor.destroy()
      view.current = undefined
    }
  }, [original, readOnly, kind, label])

  // A text from outside replaces what is there.
  useEffect(() => {
    const editor = view.current
    if (!editor || editor.state.doc.toString() === value) return
    editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: value } })
  }, [value])

  return <div className="editor" ref={box} />
}
