// Puts a .gz and a .br beside every file of the build, so that the server compresses nothing while it serves.
// index.html is left as it is: the server writes a nonce into it.

import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

const dist = fileURLToPath(new URL('../dist', import.meta.url))

for (const name of readdirSync(dist, { recursive: true })) {
  const path = join(dist, name)
  if (!/\.(js|css|svg)$/.test(name) || statSync(path).size < 1024) continue
  const content = readFileSync(path)
  writeFileSync(`${path}.gz`, gzipSync(content, { level: 9 }))
  writeFileSync(
    `${path}.br`,
    brotliCompressSync(content, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }),
  )
}
