// Every screen is loaded when it is first opened.

import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from '@tanstack/react-router'
import type { ComponentType } from 'react'
import { parseSearch, type Search, stringifySearch } from './location'
import { Crashed, NotFound, Root } from './Shell'

const root = createRootRoute({
  component: Root,
  notFoundComponent: NotFound,
  validateSearch: (search: Record<string, unknown>): Search =>
    Object.fromEntries(Object.entries(search).map(([name, value]) => [name, String(value)])),
})

type Load = () => Promise<{ default: ComponentType }>

/** Path, with `$name` for what a screen reads by `useParams`, and the screen. */
const SCREENS: [string, Load][] = [
  ['/', () => import('../screens/overview')],
  ['/topology', () => import('../screens/topology')],
  ['/domains', () => import('../screens/domains')],
  ['/why', () => import('../screens/why')],
  ['/requests', () => import('../screens/requests')],
  ['/audit', () => import('../screens/audit')],
  ['/access', () => import('../screens/access')],
  ['/rollouts', () => import('../screens/rollouts')],
  ['/import', () => import('../screens/import')],
  ['/wizards', () => import('../screens/wizards')],
  ['/wizards/publish', () => import('../screens/wizards/publish')],
  ['/wizards/shift', () => import('../screens/wizards/shift')],
  ['/wizards/blue-green', () => import('../screens/wizards/blueGreen')],
  ['/wizards/registry', () => import('../screens/wizards/connect')],
]

const routes = SCREENS.map(([path, load]) =>
  createRoute({ getParentRoute: () => root, path, component: lazyRouteComponent(load) }),
)

export const router = createRouter({
  routeTree: root.addChildren(routes),
  parseSearch,
  stringifySearch,
  scrollRestoration: true,
  defaultErrorComponent: Crashed,
  defaultPreload: false,
})
