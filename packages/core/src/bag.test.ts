import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Bag } from './bag.ts'

const membersOf = (bag: Bag<string>): string[] => {
  const members: string[] = []
  bag.visit((member) => members.push(member))
  return members.sort()
}

test('who leaves is gone, whoever else leaves before or behind', () => {
  const bag = new Bag<string>()
  const [a, b, , d] = ['a', 'b', 'c', 'd'].map((member) => bag.add(member))
  b!.leave()
  b!.leave()
  assert.deepEqual(membersOf(bag), ['a', 'c', 'd'])
  a!.leave()
  d!.leave()
  assert.deepEqual(membersOf(bag), ['c'])
  bag.add('e')
  assert.equal(bag.size, 2)
})

test('members leave while all are visited, and each is visited once', () => {
  const bag = new Bag<number>()
  const places = Array.from({ length: 10 }, (_, member) => bag.add(member))
  const visited: number[] = []
  bag.visit((member) => {
    visited.push(member)
    if (member % 3 === 0) places[member]!.leave()
    if (member === 4) bag.add(99)
  })
  assert.deepEqual(
    visited.toSorted((a, b) => a - b),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  )
  assert.equal(bag.size, 7)
})

test('a place in a bag that was cleared means nothing any more', () => {
  const bag = new Bag<string>()
  const place = bag.add('a')
  bag.clear()
  bag.add('b')
  place.leave()
  assert.deepEqual(membersOf(bag), ['b'])
})
