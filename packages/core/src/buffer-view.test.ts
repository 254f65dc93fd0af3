import assert from 'node:assert/strict'
import { test } from 'node:test'
import { viewOf } from './buffer-view.ts'

test('a view is a Buffer on the same memory, and does not reach beyond it', () => {
  const memory = new ArrayBuffer(8)
  const view = viewOf(memory, 2, 3)
  assert.ok(Buffer.isBuffer(view))
  assert.equal(view.constructor, Buffer)
  view.write('abc')
  assert.deepEqual(Buffer.from(memory), Buffer.from('\0\0abc\0\0\0'))
  assert.equal(view.subarray(1).toString(), 'bc')
  assert.throws(() => viewOf(memory, 6, 3), RangeError)
})
