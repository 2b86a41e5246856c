import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

// Where the API is while developing; the built console is served by the control plane itself.
const server = process.env.ISTHMUS_API ?? 'http://127.0.0.1:8080'
const proxy = Object.fromEntries(
  ['/api', '/login/link', '/login/oidc', '/errors'].map(path => [path, { target: server }]),
)

export default defineConfig({
  plugins: [react()],
  server: { proxy, host: '127.0.0.1' },
  preview: { proxy, host: '127.0.0.1' },
  build: {
    target: 'es2023',
    manifest: 'manifest.json',
    // Inlined assets would be `data:` URLs, which the Content-Security-Policy refuses.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
})
