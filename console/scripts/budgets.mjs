// What a browser has to load, gzip -9, against what it may. Reads Vite's manifest.

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

const KIB = 1024
const dist = fileURLToPath(new URL('../dist/', import.meta.url))
const manifest = JSON.parse(readFileSync(`${dist}manifest.json`, 'utf8'))
const size = file => gzipSync(readFileSync(dist + file), { level: 9 }).length

/** A chunk and what it imports at once. */
function closure(name, seen = new Set()) {
  if (seen.has(name)) return seen
  seen.add(name)
  for (const next of manifest[name].imports ?? []) closure(next, seen)
  return seen
}

const sum = (names, pick) =>
  [...new Set([...names].flatMap(name => pick(manifest[name])))].reduce(
    (total, file) => total + size(file),
    0,
  )
const js = names => sum(names, chunk => [chunk.file])
const css = names => sum(names, chunk => chunk.css ?? [])

const entry = Object.keys(manifest).find(name => manifest[name].isEntry)
const first = closure(entry)
const beyond = name => [...closure(name)].filter(each => !first.has(each))
const editor = Object.keys(manifest).find(name => name.endsWith('editor/Editor.tsx'))
const inEditor = editor ? new Set(closure(editor)) : new Set()

const rows = [
  ['first load, JS', js(first), 300],
  ['first load, CSS', css(first), 40],
]
for (const name of Object.keys(manifest).filter(name => /^src\/screens\/.*index\.tsx$/.test(name))) {
  const own = beyond(name).filter(each => !inEditor.has(each))
  rows.push([name.replace('src/', ''), js(own), name.includes('topology') ? 15 : 30])
}
if (editor) rows.push(['editor', js(beyond(editor)), 180])

let failed = false
for (const [name, bytes, limit] of rows) {
  const over = bytes > limit * KIB
  failed ||= over
  console.log(
    `${over ? 'OVER ' : '     '}${name.padEnd(40)} ${(bytes / KIB).toFixed(1).padStart(7)} K of ${limit} K`,
  )
}
process.exit(failed ? 1 : 0)
