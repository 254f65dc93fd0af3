import assert from 'node:assert/strict'
import { test } from 'node:test'
import { iterateBatches } from '@tidelog/protocol'
import { batchOf, temporaryLog } from '@tidelog/testkit'
import { TailCache } from './tail-cache.ts'

const appends = 300

for (const [place, maxBytes] of [
  ['the tail', 32 * 1024 * 1024],
  ['the disk', 0],
] as const) {
  test(`a reader of many small appends gets them together from ${place}, within its limits and without a gap`, async (t) => {
    const { log } = await temporaryLog(t, {}, { tailCache: new TailCache(maxBytes) })
    for (let offset = 0; offset < appends; offset++) {
      await log.append(batchOf([{ value: `${offset}`.padEnd(offset % 150, '.') }]), { leaderEpoch: 0, origin: 'client' })
    }
    const read = async (startOffset: number, bytes: number, endOffset: number): Promise<number[]> => {
      const { records } = await log.read({ startOffset, maxBytes: bytes, endOffset, atLeastOneBatch: true })
      assert.ok(records.length <= Math.max(bytes, 400), `${records.length} bytes where ${bytes} were asked for`)
      return [...iterateBatches(records)].map((batch) => {
        assert.ok(batch.isCrcValid)
        return batch.baseOffset
      })
    }
    const upTo = (from: number, to: number) => Array.from({ length: to - from }, (_none, index) => from + index)
    for (const start of [0, 1, 10, 57, 200, 299]) {
      assert.deepEqual(await read(start, 1024 * 1024, appends), upTo(start, appends))
      assert.deepEqual(await read(start, 1024 * 1024, Math.min(appends, start + 100)), upTo(start, Math.min(appends, start + 100)))
      for (const bytes of [1, 500, 5000, 20_000]) {
        const offsets = await read(start, bytes, appends)
        assert.deepEqual(offsets, upTo(start, start + offsets.length))
      }
    }
  })
}
