import '@mantine/core/styles.css'
import './app/console.css'
import { localStorageColorSchemeManager, MantineProvider } from '@mantine/core'
import { QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode, useEffect } from 'react'
import { createRoot } from 'react-dom/client'
import { queries } from './api/hooks'
import { ApiError, whenUnauthenticated } from './api/http'
import { MeProvider, useMeQuery } from './api/me'
import { startWatch } from './api/watch'
import { Login } from './app/Login'
import { router } from './app/router'
import { resolver, theme } from './app/theme'
import { LanguageProvider } from './i18n'
import { ErrorCard } from './ui/states'

const schemes = localStorageColorSchemeManager({ key: 'isthmus.theme' })

function nonce(): string {
  const found = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? ''
  return found.startsWith('__') ? '' : found
}

function Gate() {
  const me = useMeQuery()
  const known = me.data && !me.data.loginNeeded
  useEffect(() => {
    if (known) startWatch()
  }, [known])
  if (me.data?.loginNeeded) return <Login oidc={me.data.oidc} />
  if (me.error instanceof ApiError && me.error.problem.status === 401) return <Login oidc={false} />
  if (me.error) {
    return (
      <main className="login">
        <div className="box">
          <ErrorCard error={me.error} retry={() => void me.refetch()} />
        </div>
      </main>
    )
  }
  if (!me.data) return null
  return (
    <MeProvider me={me.data}>
      <RouterProvider router={router} />
    </MeProvider>
  )
}

whenUnauthenticated(() => void queries.invalidateQueries({ queryKey: ['me'] }))

const element = document.getElementById('root')
if (element) {
  createRoot(element).render(
    <StrictMode>
      <MantineProvider
        theme={theme}
        cssVariablesResolver={resolver}
        colorSchemeManager={schemes}
        defaultColorScheme="auto"
        getStyleNonce={nonce}
      >
        <LanguageProvider>
          <QueryClientProvider client={queries}>
            <Gate />
          </QueryClientProvider>
        </LanguageProvider>
      </MantineProvider>
    </StrictMode>,
  )
}
