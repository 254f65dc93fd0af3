import assert from 'node:assert/strict'
import { Consumer, type ConsumerRecord, json, Producer, string } from 'tidelog'

interface Order {
  readonly id: string
  readonly total: number
}

async function fill(bootstrapServers: string, topic: string, count = 10): Promise<void> {
  await using producer = new Producer({ bootstrapServers, keySerializer: string, valueSerializer: json<Order>() })
  await producer.sendMany(
    Array.from({ length: count }, (_, index) => ({
      topic,
      key: `${index}`,
      value: { id: `${index}`, total: index },
      timestamp: 1000 + index,
    })),
  )
}
const handle = async (_order: Order | null): Promise<void> => {}

export async function readRecordByRecord(bootstrapServers: string): Promise<void> {
  await fill(bootstrapServers, 'orders-by-record')
  let count = 0
  // #region records
  const consumer = new Consumer({
    bootstrapServers,
    groupId: 'billing',
    autoOffsetReset: 'earliest',
    keyDeserializer: string,
    valueDeserializer: json<Order>(),
  })
  consumer.subscribe(['orders-by-record'])
  for await (const record of consumer.records()) {
    await handle(record.value)
    if (++count === 10) break
  }
  await consumer.close()
  // #endregion
  assert.equal(count, 10)
}

export async function readBatches(bootstrapServers: string): Promise<void> {
  await fill(bootstrapServers, 'orders-by-batch')
  await using consumer = new Consumer({
    bootstrapServers,
    groupId: 'billing-batches',
    autoOffsetReset: 'earliest',
    enableAutoCommit: false,
    valueDeserializer: json<Order>(),
  })
  let count = 0
  // #region batches
  consumer.subscribe(['orders-by-batch'])
  for await (const batch of consumer.batches()) {
    // Records of one partition, in order.
    await Promise.all(batch.records.map((record) => handle(record.value)))
    await batch.commit()
    count += batch.count
    if (count === 10) break
  }
  // #endregion
  const committed = await consumer.committed([{ topic: 'orders-by-batch', partition: 0 }])
  assert.equal(committed.get({ topic: 'orders-by-batch', partition: 0 })?.offset, 10)
}

export async function poll(bootstrapServers: string): Promise<void> {
  await fill(bootstrapServers, 'orders-by-poll')
  await using consumer = new Consumer({
    bootstrapServers,
    groupId: 'billing-polls',
    autoOffsetReset: 'earliest',
    enableAutoCommit: false,
    valueDeserializer: json<Order>(),
  })
  let count = 0
  // #region poll
  consumer.subscribe(['orders-by-poll'])
  while (count < 10) {
    const polled = await consumer.poll({ timeoutMs: 1000, maxRecords: 100 })
    for (const partition of polled.partitions()) {
      for (const record of polled.of(partition)) await handle(record.value)
    }
    await consumer.commit(polled.offsets())
    count += polled.count
  }
  // #endregion
  assert.equal(count, 10)
}

export async function runHandlers(bootstrapServers: string): Promise<void> {
  await fill(bootstrapServers, 'orders-by-handler')
  await using consumer = new Consumer({
    bootstrapServers,
    groupId: 'billing-handlers',
    autoOffsetReset: 'earliest',
    valueDeserializer: json<Order>(),
  })
  let count = 0
  // #region run
  const stop = new AbortController()
  consumer.subscribe(['orders-by-handler'])
  await consumer.run({
    partitionConcurrency: 8,
    signal: stop.signal,
    async eachRecord(record, { signal }) {
      // Give `signal` to whatever takes long: it aborts when the partition goes to somebody else.
      signal.throwIfAborted()
      await handle(record.value)
      if (++count === 10) stop.abort()
    },
  })
  // #endregion
  assert.equal(count, 10)
}

export async function readWithoutAGroup(bootstrapServers: string): Promise<void> {
  await fill(bootstrapServers, 'orders-by-hand')
  // #region assign
  const consumer = new Consumer({ bootstrapServers, autoOffsetReset: 'earliest', valueDeserializer: json<Order>() })
  const partition = { topic: 'orders-by-hand', partition: 0 }
  consumer.assign([partition])
  consumer.seek(partition, 5)
  const polled = await consumer.poll()
  // #endregion
  assert.equal([...polled][0]?.offset, 5)
  // #region offsets
  const beginning = (await consumer.beginningOffsets([partition])).get(partition)
  const end = (await consumer.endOffsets([partition])).get(partition)
  const since = (await consumer.offsetsForTimes([{ ...partition, timestamp: 1003 }])).get(partition)
  if (since !== undefined) consumer.seek(partition, since.offset)
  consumer.pause([partition])
  consumer.resume(consumer.paused())
  const position = await consumer.position(partition)
  // #endregion
  assert.deepEqual([beginning, end, since?.offset, position], [0, 10, 3, 3])
  await consumer.close()
}

export async function keepRecords(bootstrapServers: string): Promise<void> {
  await fill(bootstrapServers, 'orders-kept')
  await using consumer = new Consumer({ bootstrapServers, autoOffsetReset: 'earliest' })
  consumer.assign([{ topic: 'orders-kept', partition: 0 }])
  // #region detach
  const kept: ConsumerRecord[] = []
  for (const record of await consumer.poll()) kept.push(record.detach())
  // #endregion
  assert.equal(kept.length, 10)
}
