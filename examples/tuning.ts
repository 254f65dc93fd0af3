import assert from 'node:assert/strict'
import { Consumer, Producer } from 'tidelog'

export async function tuneForThroughput(bootstrapServers: string): Promise<void> {
  // #region throughput
  const producer = new Producer({
    bootstrapServers,
    compressionType: 'lz4',
    batchSize: 256 * 1024,
    lingerMs: 20,
    bufferMemory: 64 * 1024 * 1024,
    maxRequestSize: 4 * 1024 * 1024,
  })
  const consumer = new Consumer({
    bootstrapServers,
    groupId: 'bulk',
    fetchMinBytes: 64 * 1024,
    fetchMaxWaitMs: 100,
    maxPartitionFetchBytes: 4 * 1024 * 1024,
    maxPollRecords: 10_000,
  })
  // #endregion
  await Promise.all([producer.close(), consumer.close()])
}

export async function watchMetrics(bootstrapServers: string): Promise<void> {
  await using producer = new Producer({ bootstrapServers })
  await producer.send({ topic: 'measured', value: 'a' })
  // #region metrics
  const values = new Map(producer.metrics().map(({ name, value }) => [name, value]))
  const sent = values.get('record-send-total')
  // #endregion
  assert.equal(sent, 1)
}
