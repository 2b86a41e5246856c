import { Tabs as MantineTabs } from '@mantine/core'
import type { ReactNode } from 'react'
import { useAddress } from '../app/location'

export interface Tab {
  id: string
  title: ReactNode
  show: () => ReactNode
}

/** Tabs whose choice is in the address (`?tab=`); only the chosen one is drawn. */
export function Tabs({ tabs, param = 'tab', label }: { tabs: Tab[]; param?: string; label: string }) {
  const [search, setSearch] = useAddress()
  const chosen = tabs.find(tab => tab.id === search[param]) ?? tabs[0]
  if (!chosen) return null
  return (
    <MantineTabs
      value={chosen.id}
      keepMounted={false}
      onChange={id => setSearch({ [param]: id === tabs[0]?.id ? undefined : (id ?? undefined) }, true)}
    >
      <MantineTabs.List aria-label={label} mb="sm">
        {tabs.map(tab => (
          <MantineTabs.Tab key={tab.id} value={tab.id}>
            {tab.title}
          </MantineTabs.Tab>
        ))}
      </MantineTabs.List>
      {tabs.map(tab => (
        <MantineTabs.Panel key={tab.id} value={tab.id}>
          {tab === chosen ? tab.show() : null}
        </MantineTabs.Panel>
      ))}
    </MantineTabs>
  )
}
