import { type CSSVariablesResolver, createTheme, type MantineColorsTuple } from '@mantine/core'

const tide: MantineColorsTuple = [
  '#e6f6f7',
  '#cfe9ec',
  '#a3d3d9',
  '#74bcc6',
  '#4fa9b6',
  '#3a9dac',
  '#2c8c9b',
  '#1b7283',
  '#0f5c6e',
  '#064656',
]

export const theme = createTheme({
  primaryColor: 'tide',
  // White on it can be read in both.
  primaryShade: { light: 8, dark: 7 },
  autoContrast: true,
  colors: { tide },
  // Nothing is fetched: what the system has, Chinese included.
  fontFamily:
    'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "PingFang SC", "Microsoft YaHei", "Noto Sans SC", "WenQuanYi Zen Hei", sans-serif',
  fontFamilyMonospace:
    'ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace',
  fontSizes: { xs: '12px', sm: '13px', md: '14px', lg: '16px', xl: '19px' },
  defaultRadius: 'sm',
  cursorType: 'pointer',
  respectReducedMotion: true,
})

/** Mantine's own surfaces take our colours. */
export const resolver: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    '--mantine-color-body': '#ffffff',
    '--mantine-color-error': '#b8222c',
    '--mantine-color-text': '#1c2429',
    '--mantine-color-dimmed': '#55626b',
    '--mantine-color-default-border': '#c9d2d8',
    '--mantine-color-placeholder': '#66737c',
  },
  dark: {
    '--mantine-color-body': '#181e23',
    '--mantine-color-error': '#ff8d88',
    '--mantine-color-text': '#dde4e8',
    '--mantine-color-dimmed': '#9aa8b1',
    '--mantine-color-dark-5': '#2b363d',
    '--mantine-color-dark-6': '#1d252b',
    '--mantine-color-default': '#1d252b',
    '--mantine-color-default-hover': '#253038',
    '--mantine-color-default-border': '#3a474f',
    '--mantine-color-placeholder': '#8b99a2',
  },
})
