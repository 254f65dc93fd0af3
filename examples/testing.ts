import assert from 'node:assert/strict'
import { Admin, Consumer, json, Producer, startTestBroker } from 'tidelog'

export async function startABrokerInATest(): Promise<void> {
  // #region broker
  const broker = await startTestBroker({ config: { 'num.partitions': '3', 'auto.create.topics.enable': 'false' } })
  const { bootstrapServers } = broker

  const admin = new Admin({ bootstrapServers })
  await admin.createTopics([{ topic: 'orders', numPartitions: 1 }])
  const producer = new Producer({ bootstrapServers, valueSerializer: json() })
  await producer.send({ topic: 'orders', value: { id: 'a-1' } })

  const consumer = new Consumer({ bootstrapServers, groupId: 'test', autoOffsetReset: 'earliest', valueDeserializer: json() })
  consumer.subscribe(['orders'])
  const [record] = await consumer.poll()
  assert.deepEqual(record?.value, { id: 'a-1' })

  await Promise.all([admin.close(), producer.close(), consumer.close()])
  await broker.close() // its directory goes, too
  // #endregion
}

export async function restartABroker(): Promise<void> {
  // #region restart
  const first = await startTestBroker()
  const { port, bootstrapServers } = first
  const producer = new Producer({ bootstrapServers, valueSerializer: json() })
  await producer.send({ topic: 'orders', value: 1 })
  await first.close()

  // The producer goes on by itself once there is a broker again.
  const sent = producer.send({ topic: 'orders', value: 2 })
  const second = await startTestBroker({ config: { listeners: `PLAINTEXT://127.0.0.1:${port}` } })
  await sent
  await producer.close()
  await second.close()
  // #endregion
}
