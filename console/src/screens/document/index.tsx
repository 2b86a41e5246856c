import { byPlural } from '../../api/kinds'
import { useParams } from '../../app/params'
import { NotFound } from '../../app/Shell'
import { useTexts } from '../../i18n'
import { ObjectPage } from '../../objects/ObjectPage'
import { T } from '../documents/texts'

/** A document of a kind that has no page of its own; `-` stands for no namespace. */
export default function DocumentPage() {
  const { plural = '', namespace = '', name = '' } = useParams()
  const t = useTexts(T)
  const info = byPlural(plural)
  if (!info) return <NotFound />
  return (
    <ObjectPage
      info={info}
      namespace={namespace === '-' ? '' : namespace}
      name={name}
      back={{ to: `/documents/${plural}`, title: t.title }}
    />
  )
}
