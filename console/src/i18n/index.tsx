// Texts live beside what shows them: `const T = texts({ title: 'Services' }, { title: '服务' })`, then `useTexts(T).title`.
// The Chinese side has the type of the English one, so a missing text does not compile. Names of kinds and fields are
// never translated.

import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from 'react'

export type Language = 'en' | 'zh-CN'
/** `pseudo` is English made 40 % longer, to find layouts that break. */
type Shown = Language | 'pseudo'

type Text = string | ((...values: any[]) => string)
type Catalogue = Record<string, Text>
type Same<T> = { [K in keyof T]: T[K] extends string ? string : T[K] }

export interface Texts<T> {
  en: T
  zh: Same<T>
}

export function texts<T extends Catalogue>(en: T, zh: Same<T>): Texts<Same<T>> {
  return { en: en as unknown as Same<T>, zh: zh as Same<Same<T>> }
}

interface Settings {
  language: Language
  shown: Shown
  setLanguage: (language: Language) => void
}

const LanguageContext = createContext<Settings | undefined>(undefined)

function stored(): Shown {
  const asked = new URLSearchParams(location.search).get('lang') ?? read()
  if (asked === 'en' || asked === 'zh-CN' || asked === 'pseudo') return asked
  return navigator.language.startsWith('zh') ? 'zh-CN' : 'en'
}

function read(): string | null {
  try {
    return localStorage.getItem('isthmus.language')
  } catch {
    return null
  }
}

export function LanguageProvider({ children }: { children: ReactNode }) {
  const [shown, setShown] = useState<Shown>(stored)
  const language: Language = shown === 'zh-CN' ? 'zh-CN' : 'en'
  useEffect(() => {
    document.documentElement.lang = language
  }, [language])
  const value = useMemo<Settings>(
    () => ({
      language,
      shown,
      setLanguage: next => {
        setShown(next)
        try {
          localStorage.setItem('isthmus.language', next)
        } catch {
          // Then it is forgotten at the next visit.
        }
      },
    }),
    [language, shown],
  )
  return <LanguageContext.Provider value={value}>{children}</LanguageContext.Provider>
}

export function useLanguage(): Settings {
  const settings = useContext(LanguageContext)
  if (!settings) throw new Error('useLanguage outside of LanguageProvider')
  return settings
}

export function useTexts<T>(catalogue: Texts<T>): T {
  const { shown } = useLanguage()
  if (shown === 'zh-CN') return catalogue.zh as T
  return shown === 'pseudo' ? stretch(catalogue.en) : catalogue.en
}

const stretched = new WeakMap<object, object>()

function stretch<T>(en: T): T {
  const known = stretched.get(en as object)
  if (known) return known as T
  const long = (text: string) => `[${text}${'~'.repeat(Math.ceil(text.length * 0.4))}]`
  const made = Object.fromEntries(
    Object.entries(en as Catalogue).map(([key, text]) => [
      key,
      typeof text === 'string' ? long(text) : (...values: unknown[]) => long(text(...values)),
    ]),
  )
  stretched.set(en as object, made)
  return made as T
}

/** English plurals; Chinese has none. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en')} ${count === 1 ? one : many}`
}
