import assert from 'node:assert/strict'
import { utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { buildBatch } from '@tidelog/protocol'
import { temporaryLog, valuesIn } from '@tidelog/testkit'
import type { AppendResult, Log } from './index.ts'

const nowMs = 1_700_000_000_000

const send = (log: Log, producerId: number, baseSequence: number, producerEpoch = 0): Promise<AppendResult> =>
  log.append(
    buildBatch([{ value: Buffer.from(`${producerId}:${baseSequence}`), timestamp: nowMs }], { producerId, producerEpoch, baseSequence }),
    { leaderEpoch: 0, origin: 'client' },
  )

const outOfOrder = { errorName: 'OUT_OF_ORDER_SEQUENCE_NUMBER' }

test('L1: killed right behind a roll, a log knows the last five batches of a producer again, on both sides of the roll', async (t) => {
  const { log, reopen } = await temporaryLog(t)
  for (let sequence = 0; sequence < 5; sequence++) await send(log, 1, sequence)
  await send(log, 2, 0)
  await log.roll()
  for (let sequence = 5; sequence < 7; sequence++) await send(log, 1, sequence)
  await log.abandon()

  const again = await reopen()
  const values = await valuesIn(again)
  for (let sequence = 2; sequence < 7; sequence++) {
    const { duplicate, firstOffset } = await send(again, 1, sequence)
    assert.deepEqual([duplicate, values[firstOffset]], [true, `1:${sequence}`])
  }
  assert.equal((await send(again, 2, 0)).duplicate, true)
  await assert.rejects(send(again, 1, 1), outOfOrder)
  assert.equal((await send(again, 1, 7)).duplicate, false)
  assert.equal(again.logEndOffset, values.length + 1)
})

test('batches of an older epoch are not recalled, nor those that were written long before', async (t) => {
  const { log, dir, reopen } = await temporaryLog(t)
  await send(log, 1, 0, 0)
  await send(log, 1, 0, 1)
  for (let sequence = 0; sequence < 2; sequence++) await send(log, 2, sequence)
  await log.roll()
  await send(log, 3, 0)
  await log.abandon()
  const recent = await reopen()
  assert.equal((await send(recent, 1, 0, 1)).duplicate, true)
  assert.equal((await send(recent, 2, 0)).duplicate, true)
  await recent.abandon()

  const longAgo = Date.now() / 1000 - 3600
  await utimes(join(dir, '00000000000000000000.log'), longAgo, longAgo)
  const idle = await reopen()
  await assert.rejects(send(idle, 2, 0), outOfOrder)
  assert.equal((await send(idle, 2, 1)).duplicate, true)
})
