import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { queries } from '../api/hooks'
import { ApiError, send } from '../api/http'
import { useTexts } from '../i18n'
import { Act, Notice, Panel } from '../ui/basics'
import { PasswordField } from '../ui/form'
import { ErrorCard } from '../ui/states'
import { T } from './texts'

export function Login({ oidc }: { oidc: boolean }) {
  const t = useTexts(T)
  const [token, setToken] = useState('')
  const login = useMutation({
    mutationFn: () => send('/login', { method: 'POST', body: { token: token.trim() } }),
    onSuccess: () => queries.resetQueries(),
  })
  const unknown = login.error instanceof ApiError && login.error.problem.status === 401
  return (
    <main className="login">
      <div className="box stack">
        <div className="row" style={{ justifyContent: 'center', gap: 12 }}>
          <img src="/icon.svg" width={36} height={36} alt="" />
          <h1 style={{ fontSize: 22 }}>Isthmus</h1>
        </div>
        <Panel>
          <form
            className="stack"
            onSubmit={event => {
              event.preventDefault()
              if (token.trim()) login.mutate()
            }}
          >
            <PasswordField
              label={t.loginToken}
              description={t.loginText}
              value={token}
              onChange={setToken}
              autoComplete="current-password"
              data-autofocus
              error={unknown ? t.loginBad : undefined}
            />
            {login.error && !unknown && <ErrorCard error={login.error} />}
            <Act type="submit" variant="filled" size="sm" loading={login.isPending}>
              {t.login}
            </Act>
            {oidc && (
              <>
                <div className="dim" style={{ textAlign: 'center' }}>
                  {t.or}
                </div>
                <Act
                  size="sm"
                  onClick={() =>
                    location.assign(
                      `/login/oidc?to=${encodeURIComponent(location.pathname + location.search)}`,
                    )
                  }
                >
                  {t.loginOidc}
                </Act>
              </>
            )}
          </form>
        </Panel>
        <Notice tone="note">{t.loginLink}</Notice>
      </div>
    </main>
  )
}
