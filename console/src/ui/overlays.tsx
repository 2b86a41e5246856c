import { Drawer as MantineDrawer, Menu as MantineMenu, Modal } from '@mantine/core'
import type { ReactNode } from 'react'
import { useCommon } from '../i18n/common'

export function Dialog(props: {
  title: ReactNode
  onClose: () => void
  size?: string | number
  children: ReactNode
}) {
  const { title, onClose, size = 'lg', children } = props
  const t = useCommon()
  return (
    <Modal
      opened
      onClose={onClose}
      title={title}
      size={size}
      centered
      closeButtonProps={{ 'aria-label': t.close }}
      transitionProps={{ duration: 0 }}
    >
      {children}
    </Modal>
  )
}

export function Drawer(props: { title: ReactNode; onClose: () => void; size?: number; children: ReactNode }) {
  const { title, onClose, size = 560, children } = props
  const t = useCommon()
  return (
    <MantineDrawer
      opened
      onClose={onClose}
      title={title}
      position="right"
      size={size}
      overlayProps={{ backgroundOpacity: 0.15 }}
      closeButtonProps={{ 'aria-label': t.close }}
      transitionProps={{ duration: 0 }}
    >
      {children}
    </MantineDrawer>
  )
}

export interface MenuItem {
  label: string
  icon?: ReactNode
  onClick: () => void
  /** Why not. */
  why?: string
  danger?: boolean
}

export function Menu({ target, items, label }: { target: ReactNode; items: MenuItem[]; label?: string }) {
  return (
    <MantineMenu position="bottom-end" withinPortal shadow="md" width={240} transitionProps={{ duration: 0 }}>
      <MantineMenu.Target>{target}</MantineMenu.Target>
      <MantineMenu.Dropdown>
        {label && <MantineMenu.Label>{label}</MantineMenu.Label>}
        {items.map(item => (
          <MantineMenu.Item
            key={item.label}
            leftSection={item.icon}
            color={item.danger ? 'red' : undefined}
            disabled={Boolean(item.why)}
            onClick={item.onClick}
          >
            {item.label}
            {item.why && (
              <div className="dim" style={{ fontSize: 12 }}>
                {item.why}
              </div>
            )}
          </MantineMenu.Item>
        ))}
      </MantineMenu.Dropdown>
    </MantineMenu>
  )
}
