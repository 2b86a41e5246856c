import './wizards.css'
import {
  IconArrowsSplit2,
  IconBook2,
  IconFileImport,
  IconSwitchHorizontal,
  IconWorldUpload,
} from '@tabler/icons-react'
import { useTexts } from '../../i18n'
import { A } from '../../ui/A'
import { Page } from '../../ui/basics'
import { T } from './texts'

export default function WizardsScreen() {
  const t = useTexts(T)
  const all = [
    { to: '/wizards/publish', icon: IconWorldUpload, title: t.publish, text: t.publishIntro },
    { to: '/wizards/shift', icon: IconArrowsSplit2, title: t.shift, text: t.shiftIntro },
    { to: '/wizards/blue-green', icon: IconSwitchHorizontal, title: t.blueGreen, text: t.blueGreenIntro },
    { to: '/wizards/registry', icon: IconBook2, title: t.connect, text: t.connectIntro },
    { to: '/import', icon: IconFileImport, title: t.import, text: t.importIntro },
  ]
  return (
    <Page title={t.title}>
      <p className="dim">{t.intro}</p>
      <div className="cards">
        {all.map(({ to, icon: Icon, title, text }) => (
          <A key={to} to={to} className="card">
            <Icon size={22} stroke={1.6} aria-hidden />
            <strong>{title}</strong>
            <span className="dim">{text}</span>
          </A>
        ))}
      </div>
    </Page>
  )
}
