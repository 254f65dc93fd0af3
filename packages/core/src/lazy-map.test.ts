import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LazyMap } from './lazy-map.ts'

test('is a map, before its first entry too', () => {
  const map = new LazyMap<string, number>()
  assert.deepEqual(
    [map.size, map.get('a'), map.delete('a'), [...map], [...map.keys()], [...map.values()]],
    [0, undefined, false, [], [], []],
  )
  map.set('b', 1)
  map.set('a', 2)
  map.set('b', 3)
  assert.deepEqual(
    [map.size, map.get('b'), [...map], [...map.keys()], [...map.values()]],
    [
      2,
      3,
      [
        ['b', 3],
        ['a', 2],
      ],
      ['b', 'a'],
      [3, 2],
    ],
  )
  for (const [key] of map) if (key === 'b') map.delete(key)
  assert.deepEqual([...new LazyMap(map)], [['a', 2]])
  map.clear()
  assert.equal(map.size, 0)
})
