import assert from 'node:assert/strict'
import test from 'node:test'
import { BufferPool } from './buffer-pool.ts'

test('a buffer that was given back serves the next of its size, whatever view of it came back', () => {
  const pool = new BufferPool()
  const first = pool.allocate(100_000)
  pool.release(first.subarray(10, 20))
  const second = pool.allocate(120_000)
  assert.equal(second.buffer, first.buffer)
  assert.equal(second.length, 120_000)
  assert.notEqual(pool.allocate(120_000).buffer, first.buffer)
})

test('a buffer given back twice is lent once', () => {
  const pool = new BufferPool()
  const buffer = pool.allocate(100_000)
  pool.release(buffer)
  pool.release(buffer)
  assert.notEqual(pool.allocate(100_000).buffer, pool.allocate(100_000).buffer)
})

test('huge and foreign buffers are not kept, nor more than the limit', () => {
  const pool = new BufferPool({ minBytes: 1024, maxBytes: 4096, maxIdleBytes: 4096 })
  const large = pool.allocate(5000)
  pool.release(large)
  assert.notEqual(pool.allocate(5000).buffer, large.buffer)
  pool.release(Buffer.allocUnsafeSlow(2048))
  const [first, second, third] = [pool.allocate(2048), pool.allocate(2048), pool.allocate(2048)]
  for (const buffer of [first, second, third]) pool.release(buffer)
  const kept = [pool.allocate(2048), pool.allocate(2048), pool.allocate(2048)].filter(({ buffer }) =>
    [first, second, third].some((old) => old.buffer === buffer),
  )
  assert.equal(kept.length, 2)
})

test('one that is up to twice as large serves too, the best fitting first; what has rested longest makes way', () => {
  const MIB = 2 ** 20
  const pool = new BufferPool({ maxIdleBytes: 12 * MIB })
  const lend = (mib: number) => pool.allocate(mib * MIB)
  const isSame = (one: Buffer, other: Buffer) => one.buffer === other.buffer
  const [three, five, four] = [lend(3), lend(5), lend(4)]
  for (const buffer of [three, five, four]) pool.release(buffer)
  assert.ok(isSame(lend(2.5), three))
  assert.ok(isSame(lend(2), four))
  assert.ok(!isSame(lend(2), five))
  const eight = lend(8)
  pool.release(eight)
  assert.ok(!isSame(lend(3), five))
  assert.ok(isSame(lend(8), eight))
})
