import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Admin } from './admin/admin.ts'
import { Consumer } from './consumer/consumer.ts'
import { fromProperties } from './from-properties.ts'
import { Producer } from './producer/producer.ts'

test("Kafka's dotted names become options that every client takes, each what concerns it", async () => {
  const options = fromProperties({
    'bootstrap.servers': 'a:1,b:2',
    'group.id': 'g',
    'linger.ms': '7',
    'compression.type': 'lz4',
    'ssl.truststore.location': '/nowhere',
    'metric.reporters': '',
    'key.serializer': 'org.apache.kafka.common.serialization.LongSerializer',
    'value.deserializer': 'org.apache.kafka.common.serialization.StringDeserializer',
    'partition.assignment.strategy': 'org.apache.kafka.clients.consumer.CooperativeStickyAssignor,range',
  })
  assert.equal(options.lingerMs, '7')
  for (const client of [new Admin(options), new Producer(options), new Consumer({ ...options, clientId: 'x' })]) await client.close()
  const consumer = new Consumer(
    fromProperties(
      new Map([
        ['bootstrap.servers', 'a:1'],
        ['group.id', 'constructor'],
      ]),
    ),
  )
  assert.equal(consumer.groupMetadata().groupId, 'constructor')
  await consumer.close()
})

test('a name that no client knows, a class that is not known, and a bad value are errors that name them', () => {
  assert.throws(() => fromProperties({ 'bootstrap.server': 'a:1' }), /unknown configuration bootstrap\.server/)
  assert.throws(() => fromProperties({ __proto__x: '1' }), /unknown configuration __proto__x/)
  assert.throws(() => fromProperties({ 'key.serializer': 'com.example.Avro' }), /com\.example\.Avro/)
  assert.throws(
    () => new Producer(fromProperties({ 'bootstrap.servers': 'a:1', 'linger.ms': 'soon' })),
    /lingerMs: Invalid value soon for configuration linger\.ms/,
  )
  assert.throws(() => new Admin(fromProperties({ 'bootstrap.servers': 'a:1', 'security.protocol': 'TLS' })), /security\.protocol/)
})

test('levels of codecs have the ranges that they have in Kafka, whichever way they are given', async () => {
  const refusals: [name: string, value: string, reason: RegExp][] = [
    ['compression.lz4.level', '0', /Invalid value 0 for configuration compression\.lz4\.level: Value must be at least 1/],
    ['compression.lz4.level', '18', /Invalid value 18 for configuration compression\.lz4\.level: Value must be no more than 17/],
    ['compression.lz4.level', 'high', /Invalid value high for configuration compression\.lz4\.level: Not a number of type INT/],
    [
      'compression.gzip.level',
      '0',
      /Invalid value 0 for configuration compression\.gzip\.level: Value must be between 1 and 9 or equal to -1/,
    ],
    ['compression.gzip.level', '10', /Value must be between 1 and 9 or equal to -1/],
    ['compression.zstd.level', '-131073', /Value must be at least -131072/],
    ['compression.zstd.level', '23', /Value must be no more than 22/],
  ]
  const server = { 'bootstrap.servers': 'a:1' }
  for (const [name, value, reason] of refusals) assert.throws(() => new Producer(fromProperties({ ...server, [name]: value })), reason)
  assert.throws(() => new Producer({ bootstrapServers: 'a:1', compressionLz4Level: 18 }), /compressionLz4Level: Invalid value 18/)
  for (const level of ['1', '9', '17']) await new Producer(fromProperties({ ...server, 'compression.lz4.level': level })).close()
})
