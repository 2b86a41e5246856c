import {
  IconAlertTriangle,
  IconApi,
  IconBook2,
  IconBoxMultiple,
  IconCertificate,
  IconFileImport,
  IconFiles,
  IconGitBranch,
  IconHelpHexagon,
  IconHistory,
  IconInfoCircle,
  IconKey,
  IconLayoutDashboard,
  IconListDetails,
  IconRoute,
  IconRouter,
  IconServer2,
  IconShieldLock,
  IconSitemap,
  IconStairsUp,
  IconWand,
} from '@tabler/icons-react'
import type { ComponentType } from 'react'
import type { T } from './texts'

type Name = keyof typeof T.en

export interface NavItem {
  to: string
  title: Name
  icon: ComponentType<{ size?: number; stroke?: number }>
}

export interface NavGroup {
  title?: Name
  items: NavItem[]
}

export const NAV: NavGroup[] = [
  {
    items: [
      { to: '/', title: 'overview', icon: IconLayoutDashboard },
      { to: '/wizards', title: 'wizards', icon: IconWand },
    ],
  },
  {
    title: 'groupTraffic',
    items: [
      { to: '/topology', title: 'topology', icon: IconSitemap },
      { to: '/services', title: 'services', icon: IconBoxMultiple },
      { to: '/gateways', title: 'gateways', icon: IconRouter },
      { to: '/routes', title: 'routes', icon: IconApi },
      { to: '/domains', title: 'domains', icon: IconCertificate },
    ],
  },
  {
    title: 'groupPolicies',
    items: [
      { to: '/documents/accesspolicies', title: 'policies', icon: IconShieldLock },
      { to: '/documents/lanegroups', title: 'lanes', icon: IconRoute },
      { to: '/documents', title: 'documents', icon: IconFiles },
    ],
  },
  {
    title: 'groupSources',
    items: [
      { to: '/registries', title: 'registries', icon: IconBook2 },
      { to: '/import', title: 'import', icon: IconFileImport },
    ],
  },
  {
    title: 'groupOperations',
    items: [
      { to: '/proxies', title: 'proxies', icon: IconServer2 },
      { to: '/revisions', title: 'revisions', icon: IconGitBranch },
      { to: '/rollouts', title: 'rollouts', icon: IconStairsUp },
      { to: '/problems', title: 'problems', icon: IconAlertTriangle },
      { to: '/why', title: 'why', icon: IconHelpHexagon },
      { to: '/requests', title: 'requests', icon: IconListDetails },
      { to: '/audit', title: 'audit', icon: IconHistory },
    ],
  },
  {
    title: 'groupSettings',
    items: [
      { to: '/access', title: 'access', icon: IconKey },
      { to: '/about', title: 'about', icon: IconInfoCircle },
    ],
  },
]
