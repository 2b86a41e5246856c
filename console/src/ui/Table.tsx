import type { ReactNode } from 'react'

export interface Column<T> {
  id: string
  title: ReactNode
  cell: (row: T) => ReactNode
  /** The name that the server sorts by. */
  sort?: string
  align?: 'right'
  width?: number | string
  /** Can be hidden; `true` when it is not shown until somebody asks. */
  optional?: boolean
  /** Takes the room that is left, and what does not fit is cut. */
  cut?: boolean
  /** Never broken into lines. */
  tight?: boolean
}

/** A plain table of what is at hand, for parts of a page; lists of the server are `ResourceTable`s. */
export function Table<T>(props: {
  label: string
  columns: Column<T>[]
  rows: readonly T[]
  rowKey: (row: T, index: number) => string
  empty?: ReactNode
  top?: boolean
}) {
  const { label, columns, rows, rowKey, empty, top } = props
  if (rows.length === 0 && empty) return <div style={{ padding: '10px 14px' }}>{empty}</div>
  return (
    <div className="tablebox" tabIndex={0} role="region" aria-label={label}>
      <table className={top ? 'table top' : 'table'}>
        <thead className={columns.every(column => !column.title) ? 'visually-hidden' : undefined}>
          <tr>
            {columns.map(column => (
              <th key={column.id} scope="col" className={column.align} style={{ width: column.width }}>
                {column.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            <tr key={rowKey(row, index)}>
              {columns.map(column => (
                <td key={column.id} className={cellClass(column)}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

export function cellClass<T>({ align, tight, cut }: Column<T>): string | undefined {
  return [align, tight && 'tight', cut && 'cutcell'].filter(Boolean).join(' ') || undefined
}
