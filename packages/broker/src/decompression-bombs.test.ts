import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { batchHeader, Produce } from '@tidelog/protocol'
import { BLOCKED_MS, type BombCodec, batchOf, bombOf, connectTo, createTopic, leastDisturbed, startTestBroker } from '@tidelog/testkit'

const INVALID_RECORD = 87
/** What a batch may unpack to: a hundred times max.message.bytes. */
const LIMIT_BYTES = 100 * 1_048_588

for (const codec of ['gzip', 'snappy', 'lz4', 'zstd'] as BombCodec[]) {
  test(`B6: a ${codec} bomb of a megabyte is refused off the loop, in bounded memory, and others are served`, async (t) => {
    const broker = await startTestBroker()
    t.after(() => broker.close())
    const connection = await connectTo(t, broker)
    const bystander = await connectTo(t, broker)
    await createTopic(connection, 'b6')
    await createTopic(connection, 'other')
    const produce = async (on: typeof connection, name: string, records: Buffer) => {
      const topicData = [{ name, partitionData: [{ index: 0, records }] }]
      const { responses } = await on.send(Produce, 9, { transactionalId: null, acks: -1, timeoutMs: 5000, topicData })
      return responses[0]!.partitionResponses[0]!
    }
    const bomb = bombOf(codec)
    assert.ok(bomb.length < 1_048_588, `${bomb.length} bytes`)
    const first = await produce(connection, 'b6', bomb) // loads what the codec needs
    assert.equal(first.errorCode, INVALID_RECORD)
    assert.match(first.errorMessage!, codec === 'snappy' ? /record/i : new RegExp(`${LIMIT_BYTES}`))
    const { longestTurnMs, rssGrowthBytes } = await leastDisturbed(3, async () => {
      let refused = 0
      const bombs = Array.from({ length: 3 }, async () => {
        assert.equal((await produce(connection, 'b6', bomb)).errorCode, INVALID_RECORD)
        refused++
      })
      for (let count = 0; count < 20; count++) assert.equal((await produce(bystander, 'other', batchOf())).errorCode, 0)
      await Promise.all(bombs)
      assert.equal(refused, 3)
    })
    assert.ok(longestTurnMs < BLOCKED_MS, `the event loop stood still for ${longestTurnMs} ms`)
    assert.ok(rssGrowthBytes < 4 * LIMIT_BYTES, `memory grew by ${rssGrowthBytes} bytes`)
    assert.equal((await produce(connection, 'b6', batchOf())).baseOffset, 0, 'nothing of the bombs was appended')
  })
}

test('B6: millions of records in one compressed batch are walked in turns', async (t) => {
  const broker = await startTestBroker()
  t.after(() => broker.close())
  const connection = await connectTo(t, broker)
  await createTopic(connection, 'b6', { configs: { 'max.message.bytes': '20000000' } })
  const batch = millionsOfRecords()
  const { longestTurnMs, result } = await leastDisturbed(3, async () => {
    const topicData = [{ name: 'b6', partitionData: [{ index: 0, records: batch }] }]
    const { responses } = await connection.send(Produce, 9, { transactionalId: null, acks: -1, timeoutMs: 5000, topicData })
    return responses[0]!.partitionResponses[0]!.errorCode
  })
  assert.equal(result, 0)
  assert.ok(longestTurnMs < BLOCKED_MS, `the event loop stood still for ${longestTurnMs} ms`)
})

/** A gzip batch of three million records without key and value. */
function millionsOfRecords(): Buffer {
  const count = 3_000_000
  const records = Buffer.alloc(count * 11)
  let at = 0
  for (let index = 0; index < count; index++) {
    const start = at
    at += 3 // length, attributes, timestamp
    let zigzag = index * 2
    while (zigzag >= 0x80) {
      records[at++] = (zigzag & 0x7f) | 0x80
      zigzag >>>= 7
    }
    records[at++] = zigzag
    records[at++] = 1
    records[at++] = 1
    records[at++] = 0
    records[start] = (at - start - 1) * 2
  }
  const payload = gzipSync(records.subarray(0, at), { level: 1 })
  const batch = Buffer.concat([batchOf().subarray(0, 61), payload])
  batch.writeInt32BE(batch.length - 12, 8)
  batch.writeInt16BE(1, 21)
  batch.writeInt32BE(count - 1, 23)
  batch.writeInt32BE(count, 57)
  batchHeader.setCrc(batch, 0)
  return batch
}
