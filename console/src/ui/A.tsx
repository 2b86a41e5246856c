import { Link } from '@tanstack/react-router'
import type { CSSProperties, ReactNode } from 'react'
import { split, useScope } from '../app/location'

/** A link inside the console, `/services/shop/orders?tab=yaml`. The scope goes along; it opens in a new tab as any link. */
export function A(props: {
  to: string
  children: ReactNode
  className?: string
  style?: CSSProperties
  title?: string
  /** Whether it leads to where we are. */
  current?: boolean
  onClick?: (event: React.MouseEvent) => void
}) {
  const { to, children, className = 'link', current, ...rest } = props
  const ns = useScope()
  const { pathname, search } = split(to)
  return (
    <Link
      to={pathname as never}
      search={{ ...(ns ? { ns } : {}), ...search } as never}
      className={className}
      aria-current={current ? 'page' : undefined}
      activeProps={{}}
      activeOptions={{ exact: true }}
      {...rest}
    >
      {children}
    </Link>
  )
}
