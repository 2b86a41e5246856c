// Before the first paint, so that a dark screen never flashes white. A file of its own: inline scripts are not allowed.
;(() => {
  let wish = 'auto'
  try {
    wish = localStorage.getItem('isthmus.theme') || 'auto'
  } catch {
    // Storage may be off; then the system decides.
  }
  const dark = wish === 'dark' || (wish === 'auto' && matchMedia('(prefers-color-scheme: dark)').matches)
  document.documentElement.setAttribute('data-mantine-color-scheme', dark ? 'dark' : 'light')
})()
