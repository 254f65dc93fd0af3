import assert from 'node:assert/strict'
import { Consumer, json, Producer } from 'tidelog'

interface Order {
  readonly id: string
  readonly total: number
}

export async function writeToSeveralTopicsAtOnce(bootstrapServers: string): Promise<void> {
  // #region atomic
  const producer = new Producer({ bootstrapServers, transactionalId: 'shop-1', valueSerializer: json() })
  await producer.transaction(async (transaction) => {
    await transaction.send({ topic: 'placed-orders', value: { id: 'a' } })
    await transaction.send({ topic: 'stock', value: { item: 'coffee', change: -1 } })
  })
  await producer.close()
  // #endregion
}

export async function abortByThrowing(bootstrapServers: string): Promise<void> {
  await using producer = new Producer({ bootstrapServers, transactionalId: 'shop-2', valueSerializer: json() })
  const refused = new Error('no')
  const aborted = producer.transaction(async (transaction) => {
    await transaction.send({ topic: 'aborted', value: 1 })
    throw refused
  })
  await assert.rejects(aborted, refused)
  await using consumer = new Consumer({ bootstrapServers, isolationLevel: 'read_committed', autoOffsetReset: 'earliest' })
  consumer.assign([{ topic: 'aborted', partition: 0 }])
  assert.equal((await consumer.poll({ timeoutMs: 0 })).count, 0)
}

export async function consumeTransformProduce(bootstrapServers: string): Promise<void> {
  {
    await using filler = new Producer({ bootstrapServers, valueSerializer: json<Order>() })
    await filler.sendMany(Array.from({ length: 10 }, (_, index) => ({ topic: 'prices', value: { id: `${index}`, total: index } })))
  }
  let count = 0
  // #region exactly-once
  const producer = new Producer({ bootstrapServers, transactionalId: 'taxes-1', valueSerializer: json<Order>() })
  const consumer = new Consumer({
    bootstrapServers,
    groupId: 'taxes',
    enableAutoCommit: false,
    isolationLevel: 'read_committed',
    autoOffsetReset: 'earliest',
    valueDeserializer: json<Order>(),
  })
  consumer.subscribe(['prices'])
  for await (const batch of consumer.batches()) {
    // Results and offsets count together, or not at all.
    await producer.transaction(async (transaction) => {
      for (const { value } of batch) {
        if (value !== null) transaction.send({ topic: 'taxed-prices', value: { ...value, total: value.total * 1.2 } })
      }
      await transaction.sendOffsets(batch.offsets(), consumer.groupMetadata())
    })
    count += batch.count
    if (count === 10) break
  }
  // #endregion
  await Promise.all([consumer.close(), producer.close()])
  await using reader = new Consumer({ bootstrapServers, isolationLevel: 'read_committed', autoOffsetReset: 'earliest' })
  reader.assign([{ topic: 'taxed-prices', partition: 0 }])
  let taxed = 0
  while (taxed < 10) taxed += (await reader.poll()).count
  assert.equal(taxed, 10)
}
