import assert from 'node:assert/strict'
import test from 'node:test'
import { type ProducerBatch, ProducerState } from './producer-state.ts'

const batch = (producerEpoch: number, firstOffset: number, more: Partial<ProducerBatch> = {}): ProducerBatch => ({
  producerId: 7,
  producerEpoch,
  baseSequence: 0,
  firstOffset,
  lastOffset: firstOffset,
  maxTimestamp: 0,
  isTransactional: true,
  isControl: false,
  ...more,
})
const marker = (producerEpoch: number, firstOffset: number) =>
  batch(producerEpoch, firstOffset, { baseSequence: -1, isControl: true, marker: { isAbort: false, coordinatorEpoch: 0 } })

test('a batch that waits for the coordinator while the marker of the transaction before it is written is taken, for the marker has its epoch', () => {
  const producers = new ProducerState('t-0')
  const guarded = (producerEpoch: number) => producers.guardFor({ producerId: 7, producerEpoch, baseSequence: 0, isV2: true })!
  const first = guarded(4)
  first.isVerified = true
  producers.append([batch(4, 0)], 'client', first)
  const next = guarded(5)
  producers.append([marker(5, 1)], 'coordinator')
  next.isVerified = true
  producers.append([batch(5, 2)], 'client', next)

  const late = guarded(6)
  producers.append([marker(6, 3)], 'coordinator')
  producers.append([marker(7, 4)], 'coordinator') // the coordinator has aborted the next one before anything of it was appended
  late.isVerified = true
  assert.throws(() => producers.append([batch(6, 5)], 'client', late), /INVALID_PRODUCER_EPOCH|smaller than the last seen epoch/)
})

test('of version 1 a marker has the epoch of the transaction that it ends: what the coordinator has said of it is over', () => {
  const producers = new ProducerState('t-0')
  const guard = producers.guardFor({ producerId: 7, producerEpoch: 4, baseSequence: 0, isV2: false })!
  guard.isVerified = true
  producers.append([marker(4, 0)], 'coordinator')
  assert.throws(() => producers.append([batch(4, 1)], 'client', guard), /not part of an ongoing transaction/)
})
