import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

// Types say that every text is there; this says that it is Chinese, and that no text stands in a screen itself.
const SRC = new URL('..', import.meta.url).pathname

function files(end: RegExp): string[] {
  return readdirSync(SRC, { recursive: true })
    .map(String)
    .filter(name => end.test(name) && !name.includes('.test.'))
}

describe('texts', () => {
  it('are Chinese on the Chinese side', () => {
    for (const name of files(/texts\.ts$|common\.ts$|problems\.ts$/)) {
      const source = readFileSync(SRC + name, 'utf8')
      const [, zh = ''] = source.split(/\n {2}\},\n {2}\{\n/)
      const values = [...zh.matchAll(/'((?:[^'\\]|\\.)*)'/g)].map(match => match[1] ?? '')
      const latin = values.filter(text => /[a-z]{3}/.test(text) && !/[\u4e00-\u9fff]/.test(text))
      // Names that are the same in both: kinds, fields, products.
      const allowed =
        /^(YAML|API|Envoy|CSV|LDS|p\d+|RPS|CLI|gRPC|HTTP|Host|SNI|IP|URL|TLS|JSON|User-Agent|SPIFFE|OIDC|[\w./-]+)/
      expect(
        latin.filter(text => !allowed.test(text)),
        name,
      ).toEqual([])
    }
  })

  it('do not stand in screens', () => {
    for (const name of files(/screens\/.*\.tsx$/)) {
      const source = readFileSync(SRC + name, 'utf8')
      const words = [
        ...source.matchAll(
          /(?:label|title|placeholder)="([A-Z][a-z]+ [^"]+)"|>\s*([A-Z][a-z]+ [a-z][^<{}=]*)</g,
        ),
      ]
      expect(
        words.map(match => match[1] ?? match[2]),
        name,
      ).toEqual([])
    }
  })
})
