// Every screen is loaded when it is first opened.

import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from '@tanstack/react-router'
import type { ComponentType } from 'react'
import { parseSearch, type Search, stringifySearch } from './location'
import { Crashed, NotFound, Root } from './Shell'

const root = createRootRoute({
  component: Root,
  notFoundComponent: NotFound,
  validateSearch: (search: Record<string, unknown>): Search =>
    Object.fromEntries(
      Object.entries(search)
        .filter(([, value]) => value !== undefined && value !== '')
        .map(([name, value]) => [name, String(value)]),
    ),
})

type Load = () => Promise<{ default: ComponentType }>

/** Path, with `$name` for what a screen reads by `useParams`, and the screen. */
const SCREENS: [string, Load][] = [
  ['/', () => import('../screens/overview')],
  ['/services', () => import('../screens/services')],
  ['/services/$namespace/$name', () => import('../screens/service')],
  ['/gateways', () => import('../screens/gateways')],
  ['/gateways/$namespace/$name', () => import('../screens/gateway')],
  ['/routes', () => import('../screens/routes')],
  ['/routes/$plural/$namespace/$name', () => import('../screens/route')],
  ['/documents', () => import('../screens/documents')],
  ['/documents/$plural', () => import('../screens/documents')],
  ['/documents/$plural/$namespace/$name', () => import('../screens/document')],
  ['/registries', () => import('../screens/registries')],
  ['/registries/$namespace/$name', () => import('../screens/registry')],
  ['/proxies', () => import('../screens/proxies')],
  ['/proxies/$id', () => import('../screens/proxy')],
  ['/revisions', () => import('../screens/revisions')],
  ['/revisions/$id', () => import('../screens/revision')],
  ['/problems', () => import('../screens/problems')],
  ['/about', () => import('../screens/about')],
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
