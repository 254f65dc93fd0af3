import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { json, Producer, type ProducerInterceptor, string } from 'tidelog'

interface Order {
  readonly id: string
  readonly total: number
}
const orderOf = (index: number): Order => ({ id: `order ${index}`, total: index })

export async function sendOneRecord(bootstrapServers: string): Promise<void> {
  // #region one-record
  const producer = new Producer({ bootstrapServers, keySerializer: string, valueSerializer: json<Order>() })
  const { partition, offset } = await producer.send({ topic: 'orders', key: 'alice', value: { id: 'a-1', total: 12.5 } })
  await producer.close()
  // #endregion
  assert.deepEqual([partition, offset], [0, 0])
}

export async function sendManyRecords(bootstrapServers: string): Promise<void> {
  await using producer = new Producer({ bootstrapServers, keySerializer: string, valueSerializer: json<Order>() })
  // #region many-records
  const orders = Array.from({ length: 1000 }, (_, index) => orderOf(index))
  const metadata = await producer.sendMany(orders.map((value) => ({ topic: 'many-orders', key: value.id, value })))
  // #endregion
  assert.equal(metadata.length, 1000)
}

export async function enqueueAStream(bootstrapServers: string): Promise<void> {
  await using producer = new Producer({ bootstrapServers, valueSerializer: json<Order>() })
  let delivered = 0
  // #region enqueue
  for (let index = 0; index < 10_000; index++) {
    const record = { topic: 'streamed-orders', value: orderOf(index) }
    // false: `bufferMemory` is full, and the record was not taken.
    while (!producer.enqueue(record, (error) => (error === undefined ? delivered++ : console.error(error)))) await producer.ready()
  }
  await producer.flush()
  // #endregion
  assert.equal(delivered, 10_000)
}

export async function pipeIntoATopic(bootstrapServers: string): Promise<void> {
  await using producer = new Producer({ bootstrapServers, valueSerializer: json<Order>() })
  let read = 0
  // #region writable
  const records = Readable.from(
    (function* () {
      for (let index = 0; index < 1000; index++) yield { topic: 'piped-orders', value: orderOf(read++) }
    })(),
  )
  // Ends when everything is delivered; reads no faster than the broker takes.
  await pipeline(records, producer.writable())
  // #endregion
  assert.equal(read, 1000)
}

export async function sendWhatARecordMayHold(bootstrapServers: string): Promise<void> {
  await using producer = new Producer({ bootstrapServers, keySerializer: string, valueSerializer: json<Order>() })
  // #region record-fields
  await producer.send({
    topic: 'fields',
    key: 'alice',
    value: { id: 'a-1', total: 12.5 },
    headers: { 'content-type': 'application/json', trace: Buffer.of(1, 2, 3) },
    partition: 0,
    timestamp: Date.now(),
  })
  // Names may come twice, and keep their order, in an array.
  const headers = [
    { key: 'via', value: 'a' },
    { key: 'via', value: 'b' },
  ]
  // null: a tombstone, which removes the key from a compacted topic.
  await producer.send({ topic: 'fields', key: 'alice', value: null, headers })
  // #endregion
}

export async function choosePartitions(bootstrapServers: string): Promise<void> {
  // #region partitioner
  const producer = new Producer({
    bootstrapServers,
    keySerializer: string,
    valueSerializer: json<Order>(),
    // Large orders have partition 0 to themselves.
    partitioner: ({ value }, key, partitionCount) =>
      (value?.total ?? 0) > 1000 || partitionCount === 1 ? 0 : 1 + ((key?.[0] ?? 0) % (partitionCount - 1)),
  })
  // #endregion
  const { partition } = await producer.send({ topic: 'partitioned', key: 'a', value: { id: 'a', total: 2000 } })
  assert.equal(partition, 0)
  await producer.close()
}

export async function giveUpOnASend(bootstrapServers: string): Promise<void> {
  await using producer = new Producer({ bootstrapServers, valueSerializer: json<Order>() })
  // #region signal
  const signal = AbortSignal.timeout(10_000)
  await producer.send({ topic: 'hurried-orders', value: orderOf(1) }, { signal })
  // #endregion
}

export async function interceptRecords(bootstrapServers: string): Promise<void> {
  let failures = 0
  // #region interceptor
  const traced: ProducerInterceptor<unknown, Order> = {
    onSend: (record) => ({ ...record, headers: { trace: 'abc' } }),
    onAcknowledgement: (error) => {
      if (error !== undefined) failures++
    },
  }
  const producer = new Producer({ bootstrapServers, valueSerializer: json<Order>(), interceptors: [traced] })
  // #endregion
  await producer.send({ topic: 'intercepted', value: orderOf(1) })
  await producer.close()
  assert.equal(failures, 0)
}
