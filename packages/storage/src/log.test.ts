import assert from 'node:assert/strict'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { seededRandom } from '@tidelog/core'
import { type BatchOptions, batchHeader, buildBatch, buildEndTxnMarker, iterateBatches, prepareCodec, readRecords } from '@tidelog/protocol'
import { temporaryLog, valuesIn } from '@tidelog/testkit'
import { verifyPartition } from './index.ts'
import { append, batchOf, nowMs, record, refusedWith } from './log-harness.test.ts'

test('appends get their offsets in order of the calls and are read back as they were sent', async (t) => {
  const { log, dir, reopen } = await temporaryLog(t)
  const results = await Promise.all([
    append(log, batchOf(['a', 'b']), 5),
    append(log, batchOf(['c']), 5),
    append(log, batchOf(['d', 'e', 'f']), 6),
  ])
  assert.deepEqual(results[1], { firstOffset: 2, lastOffset: 2, logAppendTimeMs: -1, logStartOffset: 0, duplicate: false })
  assert.deepEqual(
    results.map(({ firstOffset, lastOffset }) => [firstOffset, lastOffset]),
    [
      [0, 1],
      [2, 2],
      [3, 5],
    ],
  )
  const { records } = await log.read({ startOffset: 0, maxBytes: 10_000, endOffset: 6, atLeastOneBatch: false })
  assert.deepEqual(
    [...iterateBatches(records)].map((batch) => [batch.baseOffset, batch.partitionLeaderEpoch, batch.isCrcValid]),
    [
      [0, 5, true],
      [2, 5, true],
      [3, 6, true],
    ],
  )
  assert.deepEqual(log.leaderEpochs, [
    { epoch: 5, startOffset: 0 },
    { epoch: 6, startOffset: 3 },
  ])
  await log.close()
  assert.deepEqual((await readFile(join(dir, '00000000000000000000.log'))).equals(records), true)
  const again = await reopen({ cleanShutdown: true })
  assert.deepEqual(await valuesIn(again), ['a', 'b', 'c', 'd', 'e', 'f'])
  assert.deepEqual((await verifyPartition(dir)).problems, [])
})

test('a read gives whole batches, none that reaches its end offset, and one that is too large only when asked', async (t) => {
  for (const from of ['memory', 'disk']) {
    const { log, reopen } = await temporaryLog(t)
    for (const value of ['a', 'b', 'c']) await append(log, batchOf([value, value.repeat(200)]))
    await log.close()
    const reader = await reopen({ cleanShutdown: true })
    if (from === 'memory') await append(reader, batchOf(['d', 'd']))
    const first = from === 'memory' ? 6 : 0
    const end = first + 2
    const read = async (startOffset: number, maxBytes: number, endOffset: number, atLeastOneBatch: boolean) =>
      [...iterateBatches((await reader.read({ startOffset, maxBytes, endOffset, atLeastOneBatch })).records)].map(
        ({ baseOffset }) => baseOffset,
      )
    assert.deepEqual(await read(first, 10_000, end, false), [first], from)
    assert.deepEqual(await read(first + 1, 10_000, end, false), [first], from)
    assert.deepEqual(await read(first, 10_000, end - 1, true), [], from)
    assert.deepEqual(await read(first, 10, end, false), [], from)
    assert.deepEqual(await read(first, 10, end, true), [first], from)
    assert.deepEqual(await read(reader.logEndOffset, 10_000, 100, true), [], from)
    await assert.rejects(read(reader.logEndOffset + 1, 10_000, 100, true), refusedWith(1))
    await assert.rejects(read(-1, 10_000, 100, true), refusedWith(1))
    await assert.rejects(read(Number.NaN, 10_000, 100, true), refusedWith(1))
  }
})

test("what a log refuses has Kafka's error code, and nothing of it is appended", async (t) => {
  const { log } = await temporaryLog(t, { 'max.message.bytes': '2000', 'segment.bytes': '1048576', 'cleanup.policy': 'compact' })
  const good = buildBatch([record('v', { key: Buffer.from('k') })])
  const changed = (change: (batch: Buffer) => void): Buffer => {
    const batch = Buffer.from(good)
    change(batch)
    return batch
  }
  const timed = (timestamp: number): Buffer => buildBatch([record('v', { key: Buffer.from('k'), timestamp })])
  const marker = buildEndTxnMarker({ type: 'commit', coordinatorEpoch: 0, producerId: 1, producerEpoch: 0, timestamp: nowMs })
  for (const [what, code, batch] of [
    ['a bad CRC', 2, changed((bytes) => bytes.writeUInt8(bytes.at(-1)! ^ 1, bytes.length - 1))],
    ['a length below the overhead', 2, changed((bytes) => bytes.writeInt32BE(10, 8))],
    ['a length beyond the data', 87, changed((bytes) => bytes.writeInt32BE(5000, 8))],
    ['no bytes at all', 87, Buffer.alloc(0)],
    ['a batch over max.message.bytes', 10, buildBatch([record('v'.repeat(3000), { key: Buffer.from('k') })])],
    ['a record without a key on a compacted topic', 87, batchOf(['v'])],
    ['a control batch from a client', 87, marker],
    ['a base offset', 87, changed((bytes) => batchHeader.setBaseOffset(bytes, 0, 7))],
    ['a timestamp too far ahead', 32, timed(nowMs + 3_600_001)],
    ['a timestamp beyond 2^53', 32, timed(2 ** 60)],
  ] as const) {
    await assert.rejects(append(log, batch), refusedWith(code), what)
  }
  assert.equal(log.logEndOffset, 0)
  assert.equal((await append(log, good)).firstOffset, 0)
})

test('appends larger than a segment are refused with RECORD_LIST_TOO_LARGE', async (t) => {
  const { log } = await temporaryLog(t, { 'max.message.bytes': '9000000', 'segment.bytes': '1048576' })
  await assert.rejects(append(log, batchOf(['v'.repeat(1_100_000)])), refusedWith(18))
})

test('LogAppendTime stamps every batch with the time of its append', async (t) => {
  const { log, clock } = await temporaryLog(t, { 'message.timestamp.type': 'LogAppendTime' })
  clock.advance(5)
  const { logAppendTimeMs } = await append(log, buildBatch([record('a', { timestamp: 1 }), record('b', { timestamp: 2 ** 52 })]))
  assert.equal(logAppendTimeMs, nowMs + 5)
  const { records } = await log.read({ startOffset: 0, maxBytes: 1000, endOffset: 2, atLeastOneBatch: true })
  const [batch] = [...iterateBatches(records)]
  assert.equal(batch!.isCrcValid, true)
  assert.deepEqual(
    [...readRecords(batch!, { maxOutputBytes: 1000 })].map(({ timestamp }) => timestamp),
    [nowMs + 5, nowMs + 5],
  )
})

test("compression.type other than producer stores every batch in the topic's codec", async (t) => {
  const { log } = await temporaryLog(t, { 'compression.type': 'gzip' })
  await append(log, batchOf(['a', 'b']))
  await append(log, batchOf(['c'], { codec: 'snappy', producerId: 4, producerEpoch: 1, baseSequence: 0 }))
  const { records } = await log.read({ startOffset: 0, maxBytes: 1000, endOffset: 3, atLeastOneBatch: true })
  assert.deepEqual(
    [...iterateBatches(records)].map((batch) => [batch.codecId, batch.producerId, batch.isCrcValid]),
    [
      [1, -1, true],
      [1, 4, true],
    ],
  )
  assert.deepEqual(await valuesIn(log), ['a', 'b', 'c'])
})

test("a codec's level decides how small a topic's batches get that come in another codec", async (t) => {
  await prepareCodec('zstd')
  const value = Array.from({ length: 2000 }, (_, i) => `${i} of ${(i * 7919) % 97}`).join()
  const sizeAt = async (codec: string, level?: string): Promise<number> => {
    const { log } = await temporaryLog(t, {
      'compression.type': codec,
      ...(level === undefined ? {} : { [`compression.${codec}.level`]: level }),
    })
    await append(log, batchOf([value], { codec: 'snappy' }))
    const { records } = await log.read({ startOffset: 0, maxBytes: 100_000, endOffset: 1, atLeastOneBatch: true })
    assert.deepEqual(await valuesIn(log), [value])
    return records.length
  }
  assert.ok((await sizeAt('lz4', '1')) < (await sizeAt('lz4')))
  assert.ok((await sizeAt('lz4', '12')) < (await sizeAt('lz4', '1')))
  assert.equal(await sizeAt('lz4', '9'), await sizeAt('lz4'))
  assert.ok((await sizeAt('gzip', '9')) < (await sizeAt('gzip', '1')))
  assert.equal(await sizeAt('gzip', '-1'), await sizeAt('gzip', '6'))
  assert.ok((await sizeAt('zstd', '19')) < (await sizeAt('zstd', '-50')))
  assert.equal(await sizeAt('zstd', '3'), await sizeAt('zstd'))
})

test('an append that has to be decompressed aside keeps its place', async (t) => {
  const { log } = await temporaryLog(t)
  const incompressible = seededRandom(5).bytes(60_000)
  const large = buildBatch([{ value: incompressible, timestamp: nowMs }], {
    codec: 'gzip',
    producerId: 9,
    producerEpoch: 0,
    baseSequence: 0,
  })
  const small = batchOf(['next'], { producerId: 9, producerEpoch: 0, baseSequence: 1 })
  const [first, second] = await Promise.all([append(log, large), append(log, small)])
  assert.deepEqual([first.firstOffset, second.firstOffset], [0, 1])
})

test('a batch that is sent again is stored once and answered with its first offsets, up to the fifth last', async (t) => {
  const { log } = await temporaryLog(t)
  const sent = (sequence: number): Buffer =>
    batchOf([`${sequence}`, `${sequence + 1}`], { producerId: 7, producerEpoch: 0, baseSequence: sequence })
  const together = await Promise.all([append(log, sent(0)), append(log, sent(0)), append(log, sent(2))])
  assert.deepEqual(
    together.map(({ firstOffset, duplicate }) => [firstOffset, duplicate]),
    [
      [0, false],
      [0, true],
      [2, false],
    ],
  )
  for (let sequence = 4; sequence < 12; sequence += 2) await append(log, sent(sequence))
  assert.equal(log.logEndOffset, 12)
  assert.deepEqual(await append(log, sent(2)), {
    firstOffset: 2,
    lastOffset: 3,
    logAppendTimeMs: nowMs,
    logStartOffset: 0,
    duplicate: true,
  })
  await assert.rejects(append(log, sent(0)), refusedWith(45)) // older than the last five
  await assert.rejects(append(log, sent(14)), refusedWith(45)) // a gap
  assert.equal(log.logEndOffset, 12)
})

test('producers: epochs, wrap of the sequence, unknown ones, open transactions', async (t) => {
  const { log } = await temporaryLog(t)
  const sent = (baseSequence: number, options: BatchOptions = {}): Buffer =>
    batchOf(['x'], { producerId: 7, producerEpoch: 1, baseSequence, ...options })
  await append(log, sent(0x7fffffff)) // nothing is known of the producer: any sequence will do
  await append(log, sent(0))
  await append(log, sent(1))
  await assert.rejects(append(log, sent(0, { producerEpoch: 0 })), refusedWith(47))
  await assert.rejects(append(log, sent(5, { producerEpoch: 2 })), refusedWith(45))
  await append(log, sent(0, { producerEpoch: 2, isTransactional: true }))
  log.updateHighWatermark(4)
  assert.equal(log.lastStableOffset, 3)
  await assert.rejects(append(log, sent(1, { producerEpoch: 2 })), refusedWith(48))
  const marker = buildEndTxnMarker({ type: 'abort', coordinatorEpoch: 3, producerId: 7, producerEpoch: 2, timestamp: nowMs })
  await log.append(marker, { leaderEpoch: 0, origin: 'coordinator' })
  assert.equal(log.lastStableOffset, 3)
  log.updateHighWatermark(5)
  assert.equal(log.lastStableOffset, 5)
  const zombie = buildEndTxnMarker({ type: 'abort', coordinatorEpoch: 2, producerId: 7, producerEpoch: 2, timestamp: nowMs })
  await assert.rejects(log.append(zombie, { leaderEpoch: 0, origin: 'coordinator' }), refusedWith(52))
})

test('L8: producers and open transactions survive a clean stop, a crash, and snapshots that are missing, stale or garbage', async (t) => {
  for (const how of ['clean', 'crash', 'no snapshot', 'stale snapshot', 'garbage snapshot']) {
    const { log, dir, reopen } = await temporaryLog(t, { 'segment.bytes': '1048576' })
    const sent = (baseSequence: number): Buffer => batchOf([`${baseSequence}`], { producerId: 7, producerEpoch: 3, baseSequence })
    await append(log, sent(0))
    await log.roll()
    await append(log, sent(1))
    await append(log, batchOf(['open'], { producerId: 8, producerEpoch: 0, baseSequence: 0, isTransactional: true }))
    if (how === 'clean') await log.close()
    else await log.abandon()
    const snapshots = (await readdir(dir)).filter((name) => name.endsWith('.snapshot')).sort()
    for (const name of snapshots) {
      if (how === 'no snapshot' || (how === 'stale snapshot' && name !== snapshots[0])) await rm(join(dir, name))
      if (how === 'garbage snapshot') await writeFile(join(dir, name), 'garbage')
    }
    const again = await reopen({ cleanShutdown: how !== 'crash' })
    assert.equal((await append(again, sent(1))).duplicate, true, how)
    await assert.rejects(append(again, sent(3)), refusedWith(45), how)
    const fenced = batchOf(['old'], { producerId: 7, producerEpoch: 2, baseSequence: 0 })
    await assert.rejects(append(again, fenced), refusedWith(47), how)
    assert.equal((await append(again, sent(2))).firstOffset, 3, how)
    again.updateHighWatermark(4)
    assert.equal(again.lastStableOffset, 2, how)
  }
})

test('a producer that was silent for producer.id.expiration.ms is forgotten', async (t) => {
  const { log, clock } = await temporaryLog(t, {}, { producerIdExpirationMs: 1000 })
  await append(log, batchOf(['x'], { producerId: 7, producerEpoch: 0, baseSequence: 0 }))
  clock.advance(999)
  log.removeExpiredProducers()
  assert.equal(log.producers.activeProducers().length, 1)
  clock.advance(1)
  log.removeExpiredProducers()
  assert.equal(log.producers.activeProducers().length, 0)
  assert.equal((await append(log, batchOf(['y'], { producerId: 7, producerEpoch: 0, baseSequence: 55 }))).firstOffset, 1)
})
