import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { libuvOffload, type Offload, systemClock } from '@tidelog/core'
import { buildBatch } from '@tidelog/protocol'
import type { ConsumerRecord } from './consumer-record.ts'
import { FetchedChunk } from './fetched-chunk.ts'
import { Notifier } from './notifier.ts'
import { PartitionState } from './partition-state.ts'
import { RecordTaker } from './record-taker.ts'

/** Work that is begun when the test says so. */
function heldOffload() {
  const held: (() => void)[] = []
  const offload: Offload = {
    async run(task) {
      await new Promise<void>((resolve) => held.push(resolve))
      return libuvOffload().run(task)
    },
  }
  return { held, offload }
}

const BATCHES = 3

/** Partitions with three batches each that are too large to be decompressed at once. */
function partitionsWith(count: number, offload: Offload): PartitionState<Buffer, Buffer>[] {
  return Array.from({ length: count }, (_, partition) => {
    const state = new PartitionState<Buffer, Buffer>({ topic: 't', partition })
    state.seek({ offset: 0, leaderEpoch: -1 })
    const batches = Array.from({ length: BATCHES }, (_, offset) =>
      buildBatch([{ value: randomBytes(20_000) }], { codec: 'gzip', baseOffset: offset }),
    )
    const deserializers = { key: undefined, value: undefined }
    const options = { deserializers, checkCrcs: true, abortedTransactions: null, offload }
    state.chunks.push(new FetchedChunk(state, Buffer.concat(batches), options))
    return state
  })
}

for (const way of ['take', 'takeOne'] as const) {
  test(`large batches are decompressed two or three at a time, not one of every partition, and each comes in its order: ${way}()`, async () => {
    const { held, offload } = heldOffload()
    const states = partitionsWith(8, offload)
    const notifier = new Notifier(systemClock)
    const notify = () => notifier.notify()
    const taker = new RecordTaker<Buffer, Buffer>({ notify, onDrained: () => {} })
    taker.setPartitions(states)
    const taken: ConsumerRecord[] = []
    const takeAll = () => {
      if (way === 'take') taker.take(1000, taken)
      else for (let one = taker.takeOne(); one !== undefined; one = taker.takeOne()) taken.push(one)
    }
    let most = 0
    // What stands still holds up no other: neither the user's pause, nor a handler that is busy, nor a seek.
    takeAll()
    assert.equal(held.length, 2)
    states[0]!.isPaused = true
    states[1]!.isBusy = true
    takeAll()
    assert.equal(held.length, 4)
    states[0]!.isPaused = false
    states[1]!.isBusy = false
    while (taken.length < states.length * BATCHES) {
      most = Math.max(most, held.length)
      held.shift()?.()
      await notifier.wait(1000)
      takeAll()
    }
    assert.ok(most <= 4, `${most} at a time`)
    for (const { partition } of states) {
      const offsets = taken.filter((record) => record.partition === partition).map(({ offset }) => offset)
      assert.deepEqual(offsets, [0, 1, 2])
    }
    assert.ok(states.every(({ chunks }) => chunks.length === 0))
  })
}
