import { useParams as useRouterParams } from '@tanstack/react-router'

/** What the path holds at `$name`. */
export function useParams(): Record<string, string> {
  return useRouterParams({ strict: false }) as Record<string, string>
}
