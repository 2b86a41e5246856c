import { expect, it } from 'vitest'
import { merge } from './merge'

const base = { hosts: ['a'], rules: [{ weight: 90 }, { weight: 10 }], kept: 1, gone: 1 }

it('keeps what either side changed', () => {
  const theirs = { ...base, hosts: ['b', 'c'], rules: [{ weight: 90, name: 'x' }, { weight: 10 }] }
  const { gone: _, ...rest } = base
  const mine = { ...rest, rules: [{ weight: 70 }, { weight: 30 }] }
  expect(merge(base, theirs, mine)).toEqual({
    hosts: ['b', 'c'],
    rules: [{ weight: 70, name: 'x' }, { weight: 30 }],
    kept: 1,
  })
})

it('lets mine count where both changed one value, or a list cannot be told apart', () => {
  expect(merge({ a: 1 }, { a: 2 }, { a: 3 })).toEqual({ a: 3 })
  expect(merge([1, 2], [1, 2, 3], [2])).toEqual([2])
})
