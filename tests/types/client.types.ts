/**
 * What the compiler makes of the client's interface: this file is compiled with the tests, and once more against the published declarations
 * from a project of somebody else's (published.test.ts). A line behind `@ts-expect-error` that compiles is an error.
 */
import {
  Admin,
  BrokerError,
  bytes,
  ClientError,
  CommitFailedError,
  Consumer,
  type ConsumerRecord,
  type Deserializer,
  fromProperties,
  int32,
  json,
  type PolledRecords,
  Producer,
  type RecordMetadata,
  type Serde,
  ShareConsumer,
  type ShareRecord,
  string,
  synchronous,
} from 'tidelog'
import { SchemaRegistry, type SubjectVersion } from 'tidelog/schema-registry'
import { avro } from 'tidelog/serdes/avro'
import { jsonSchema } from 'tidelog/serdes/json-schema'
import { msgpack } from 'tidelog/serdes/msgpack'

/** True when both are the same type, not only assignable to each other. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const same = <A, B>(_: Same<A, B>): void => {}

interface Order {
  readonly id: string
  readonly total: number
}

const bootstrapServers = '127.0.0.1:9092'

export function producers(): void {
  const producer = new Producer({ bootstrapServers, keySerializer: string, valueSerializer: json<Order>(), acks: 'all', lingerMs: 5 })
  same<typeof producer, Producer<string, Order>>(true)
  same<ReturnType<typeof producer.send>, Promise<RecordMetadata>>(true)
  same<ReturnType<typeof producer.sendMany>, Promise<RecordMetadata[]>>(true)
  same<ReturnType<typeof producer.enqueue>, boolean>(true)
  same<RecordMetadata['offset'], number>(true)

  producer.send({ topic: 'orders', key: 'a', value: { id: 'a', total: 1 } })
  producer.send({ topic: 'orders', key: null, value: null })
  producer.send({ topic: 'orders', value: null, headers: { trace: 'a', raw: Buffer.of(1), none: null } })
  producer.send({ topic: 'orders', headers: [{ key: 'a', value: '1' }] }, { signal: new AbortController().signal })
  // @ts-expect-error a key of another type
  producer.send({ topic: 'orders', key: 1 })
  // @ts-expect-error a value of another type
  producer.send({ topic: 'orders', value: { id: 'a', total: '1' } })
  // @ts-expect-error a value that lacks a field
  producer.send({ topic: 'orders', value: { id: 'a' } })
  // @ts-expect-error a record without topic
  producer.send({ value: null })
  // @ts-expect-error a field that records do not have
  producer.send({ topic: 'orders', value: null, timestampMs: 1 })
  // @ts-expect-error offsets and partitions are numbers
  producer.send({ topic: 'orders', value: null, partition: '0' })
  // @ts-expect-error a header's value is text, bytes or null
  producer.send({ topic: 'orders', headers: { count: 1 } })
  // @ts-expect-error several records are sendMany()'s
  producer.send([{ topic: 'orders', value: null }])
  producer.enqueue({ topic: 'orders', value: null }, (error, metadata) => {
    same<typeof error, ClientError | undefined>(true)
    same<typeof metadata, RecordMetadata | undefined>(true)
  })
  // @ts-expect-error metadata cannot be written to
  producer.send({ topic: 'orders' }).then((metadata) => (metadata.offset = 1))

  // @ts-expect-error an option that does not exist
  new Producer({ bootstrapServers, acknowledgements: 'all' })
  // @ts-expect-error Kafka's dotted names go through fromProperties()
  new Producer({ bootstrapServers, 'linger.ms': 5 })
  // @ts-expect-error an option of another type
  new Producer({ bootstrapServers, lingerMs: '5' })
  // @ts-expect-error a value that the option does not have
  new Producer({ bootstrapServers, acks: 'most' })
  // @ts-expect-error a codec that Kafka does not have
  new Producer({ bootstrapServers, compressionType: 'brotli' })
  // @ts-expect-error a consumer's option
  new Producer({ bootstrapServers, groupId: 'g' })
  // @ts-expect-error a deserializer is no serializer
  new Producer({ bootstrapServers, valueSerializer: (data: Buffer) => data.toString('utf8') })
  new Producer(fromProperties({ 'bootstrap.servers': bootstrapServers, 'linger.ms': '5' }))
  // @ts-expect-error a properties file holds text
  fromProperties({ 'linger.ms': 5 })

  const plain = new Producer({ bootstrapServers })
  same<typeof plain, Producer<unknown, unknown>>(true)
  const own = new Producer({ bootstrapServers, valueSerializer: async (order: Order) => Buffer.from(order.id) })
  same<typeof own, Producer<unknown, Order>>(true)
  new Producer({
    bootstrapServers,
    keySerializer: int32,
    partitioner(record, key, count) {
      same<typeof record.key, number | null | undefined>(true)
      same<typeof key, Uint8Array | null>(true)
      return (record.key ?? 0) % count
    },
  })
}

export async function transactions(): Promise<void> {
  const producer = new Producer({ bootstrapServers, transactionalId: 'a', valueSerializer: json<Order>() })
  const result = await producer.transaction(async (transaction) => {
    transaction.enqueue({ topic: 'orders', value: { id: 'a', total: 1 } })
    // @ts-expect-error a value of another type
    transaction.enqueue({ topic: 'orders', value: 'a' })
    return 5
  })
  same<typeof result, number>(true)
}

export async function consumers(): Promise<void> {
  const consumer = new Consumer({ bootstrapServers, groupId: 'g', keyDeserializer: string, valueDeserializer: json<Order>() })
  same<typeof consumer, Consumer<string, Order>>(true)
  for await (const record of consumer.records()) {
    same<typeof record, ConsumerRecord<string, Order>>(true)
    same<typeof record.key, string | null>(true)
    same<typeof record.value, Order | null>(true)
    same<typeof record.offset, number>(true)
    // @ts-expect-error a value may be null: a tombstone
    record.value.total
    // @ts-expect-error records cannot be written to
    record.offset = 1
  }
  for await (const batch of consumer.batches()) {
    const record = batch.records.at(0)
    same<typeof record, ConsumerRecord<string, Order> | undefined>(true)
    await batch.commit()
  }
  const polled = await consumer.poll({ timeoutMs: 100 })
  same<typeof polled, PolledRecords<string, Order>>(true)
  await consumer.run({
    eachRecord(record, { signal }) {
      same<typeof record, ConsumerRecord<string, Order>>(true)
      same<typeof signal, AbortSignal>(true)
    },
  })
  await consumer.commit(polled.offsets())
  consumer.subscribe(['a'], { onRevoked: async (partitions) => void partitions[0]?.topic })
  consumer.subscribe(/^logs-/)
  consumer.assign([{ topic: 'a', partition: 0 }])
  const committed = await consumer.committed([{ topic: 'a', partition: 0 }])
  same<number | undefined, NonNullable<ReturnType<typeof committed.get>>['offset'] | undefined>(true)
  // @ts-expect-error either topics or a pattern
  consumer.subscribe(['a', /^logs-/])
  // @ts-expect-error a partition has a topic
  consumer.assign([{ partition: 0 }])
  // @ts-expect-error an offset is a number
  consumer.seek({ topic: 'a', partition: 0 }, 10n)
  // @ts-expect-error an option that does not exist
  new Consumer({ bootstrapServers, group: 'g' })
  // @ts-expect-error a value that the option does not have
  new Consumer({ bootstrapServers, isolationLevel: 'serializable' })
  // @ts-expect-error a serializer is no deserializer
  new Consumer({ bootstrapServers, valueDeserializer: (value: string) => Buffer.from(value) })
  // @ts-expect-error a producer's option
  new Consumer({ bootstrapServers, acks: 'all' })

  const plain = new Consumer({ bootstrapServers })
  same<typeof plain, Consumer<Buffer, Buffer>>(true)
  const promised = new Consumer({ bootstrapServers, valueDeserializer: async (data: Buffer) => data.length })
  same<typeof promised, Consumer<Buffer, number>>(true)
  const ofBytes = new Consumer({ bootstrapServers, valueDeserializer: bytes })
  same<typeof ofBytes, Consumer<Buffer, Buffer>>(true)
}

export async function shareConsumers(): Promise<void> {
  const consumer = new ShareConsumer({ bootstrapServers, groupId: 'g', acknowledgement: 'explicit', valueDeserializer: json<Order>() })
  same<typeof consumer, ShareConsumer<Buffer, Order>>(true)
  for await (const record of consumer.records()) {
    same<typeof record, ShareRecord<Buffer, Order>>(true)
    same<typeof record.deliveryCount, number>(true)
    record.accept()
    // @ts-expect-error an acknowledgement that does not exist
    record.acknowledge('ignore')
  }
  // @ts-expect-error a mode that does not exist
  new ShareConsumer({ bootstrapServers, groupId: 'g', acknowledgement: 'manual' })
  // @ts-expect-error an option of consumer groups: nothing is committed by offset here
  new ShareConsumer({ bootstrapServers, groupId: 'g', enableAutoCommit: false })
}

export async function admins(): Promise<void> {
  const admin = new Admin({ bootstrapServers })
  await admin.createTopics([{ topic: 'a', numPartitions: 3, configs: { 'cleanup.policy': 'compact' } }])
  const descriptions = await admin.describeTopics(['a'])
  const partitions = descriptions.get('a')?.partitions.length
  same<typeof partitions, number | undefined>(true)
  const [found] = await admin.listOffsets([{ topic: 'a', partition: 0, spec: 'latest' }])
  same<NonNullable<typeof found>['offset'], number>(true)
  // @ts-expect-error a spec that does not exist
  await admin.listOffsets([{ topic: 'a', partition: 0, spec: 'newest' }])
  // @ts-expect-error a topic has a name
  await admin.createTopics([{ numPartitions: 3 }])
  // @ts-expect-error a resource of an unknown type
  await admin.describeConfigs([{ type: 'table', name: 'a' }])
}

export function errors(error: unknown): string | number {
  if (error instanceof BrokerError) {
    same<typeof error.errorCode, number>(true)
    return error.errorCode
  }
  if (error instanceof CommitFailedError) return error.code
  if (error instanceof ClientError) {
    same<typeof error.retriable, boolean>(true)
    // @ts-expect-error only what a broker said has Kafka's number
    return error.errorCode
  }
  return 0
}

export function serdes(registry: SchemaRegistry): void {
  same<ReturnType<typeof avro<Order>>, Serde<Order>>(true)
  const consumer = new Consumer({ bootstrapServers, valueDeserializer: avro<Order>({ registry }), keyDeserializer: msgpack<number>() })
  same<typeof consumer, Consumer<number, Order>>(true)
  const producer = new Producer({ bootstrapServers, valueSerializer: jsonSchema<Order>({ registry, schema: {} }) })
  // @ts-expect-error a value of another type
  producer.send({ topic: 'a', value: 1 })
  // @ts-expect-error an option that does not exist
  avro<Order>({ registry, autoRegister: true })
  // @ts-expect-error a registry has a URL
  new SchemaRegistry({ urls: [] })
  // @ts-expect-error users have passwords
  new SchemaRegistry({ url: 'http://a', auth: { username: 'a' } })
  same<ReturnType<typeof registry.version>, Promise<SubjectVersion>>(true)
  // @ts-expect-error a version is a number or latest
  registry.version('a', 'first')

  const upper = synchronous((data: Buffer) => data.toString('utf8').toUpperCase())
  same<typeof upper extends Deserializer<string> ? true : false, true>(true)
  const both: Serde<string> = { serialize: (text) => Buffer.from(text), deserialize: (data) => data.toString() }
  new Producer({ bootstrapServers, keySerializer: both })
  new Consumer({ bootstrapServers, keyDeserializer: both })

  // Headers: a serializer may add to them, a deserializer may not.
  const stamped: Serde<string> = {
    serialize(text, { headers }) {
      headers?.push({ key: 'stamp', value: 'a' })
      // @ts-expect-error a header without a value
      headers?.push({ key: 'stamp' })
      return Buffer.from(text)
    },
    deserialize(data, { topic, isKey, headers }) {
      // @ts-expect-error those of a fetched record stay as they are
      headers?.push({ key: 'stamp', value: null })
      return `${topic} ${isKey} ${headers?.[0]?.value?.length} ${data}`
    },
  }
  new Producer({ bootstrapServers, valueSerializer: stamped })
  avro({ registry, schemaIdSerializer: 'header' })
  // @ts-expect-error neither prefix nor header
  avro({ registry, schemaIdSerializer: 'suffix' })
  // @ts-expect-error bytes are no text
  const wrong: Serde<string> = bytes
  void wrong
}
