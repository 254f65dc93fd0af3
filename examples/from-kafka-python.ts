import assert from 'node:assert/strict'
import { Admin, Consumer, json, Producer, string } from 'tidelog'

export async function moveAProgram(bootstrapServers: string): Promise<void> {
  const values: unknown[] = []
  // #region program
  // admin = KafkaAdminClient(bootstrap_servers=…); admin.create_topics([NewTopic('bank', num_partitions=2, replication_factor=1)])
  const admin = new Admin({ bootstrapServers })
  await admin.createTopics([{ topic: 'bank', numPartitions: 2, replicationFactor: 1 }])

  // producer = KafkaProducer(bootstrap_servers=…, key_serializer=str.encode, value_serializer=lambda v: json.dumps(v).encode())
  const producer = new Producer({ bootstrapServers, keySerializer: string, valueSerializer: json() })
  // metadata = producer.send('bank', {'atm': 1}, key='a').get(timeout=10)
  const metadata = await producer.send({ topic: 'bank', value: { atm: 1 }, key: 'a' }, { signal: AbortSignal.timeout(10_000) })
  // producer.send('bank', {'atm': 2}).add_callback(on_success).add_errback(on_error)
  producer.enqueue({ topic: 'bank', value: { atm: 2 } }, (error, metadata) => (error ? console.error(error) : metadata))
  // producer.flush()
  await producer.flush()

  // consumer = KafkaConsumer('bank', bootstrap_servers=…, group_id='tour', auto_offset_reset='earliest', value_deserializer=json.loads)
  const consumer = new Consumer({ bootstrapServers, groupId: 'tour', autoOffsetReset: 'earliest', valueDeserializer: json() })
  consumer.subscribe(['bank'])
  // for message in consumer: …
  for await (const message of consumer.records()) {
    values.push(message.value)
    if (values.length === 2) break
  }
  // consumer.close(); producer.close(); admin.close()
  await Promise.all([consumer.close(), producer.close(), admin.close()])
  // #endregion
  assert.equal(metadata.topic, 'bank')
  assert.equal(values.length, 2)
}
