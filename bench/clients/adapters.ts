/** The clients that are compared, each used as its own documentation says for throughput; ours also as it is without any option. Peers are loaded from the folder that the driver runs in. */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import * as tidelog from './tidelog.ts'
import * as batches from './tidelog-batches.ts'

export interface Target {
  readonly bootstrap: string
  readonly topic: string
}

export interface Adapter {
  /** Many records a call. */
  producer(target: Target): Promise<{ send(values: readonly Buffer[]): Promise<unknown> }>
  /** One record a call. */
  single(target: Target): Promise<{ send(value: Buffer): Promise<unknown> }>
  consume(target: Target, seen: tidelog.Seen): Promise<void>
  /** Where the client hands out whole batches too. */
  consumeBatches?(target: Target, seen: tidelog.Seen): Promise<void>
}

const PARTITIONS = 6
const MIB = 1024 * 1024
const groupId = () => `bench-${process.pid}`

const peers = createRequire(join(process.cwd(), 'package.json'))

const adapters: Record<string, () => Promise<Adapter>> = {
  ours: async () => ({
    producer: async ({ bootstrap, topic }) => tidelog.producer(bootstrap, topic),
    single: async ({ bootstrap, topic }) => tidelog.singles(bootstrap, topic),
    consume: ({ bootstrap, topic }, seen) => tidelog.consumer(bootstrap, topic, seen),
    consumeBatches: ({ bootstrap, topic }, seen) => batches.consumer(bootstrap, topic, seen),
  }),

  'ours-defaults': async () => ({
    producer: async ({ bootstrap, topic }) => tidelog.producer(bootstrap, topic, {}),
    single: async ({ bootstrap, topic }) => tidelog.singles(bootstrap, topic, {}),
    consume: ({ bootstrap, topic }, seen) => tidelog.consumer(bootstrap, topic, seen),
  }),

  kafkajs: async () => {
    const { Kafka, logLevel } = peers('kafkajs') as typeof import('kafkajs')
    const client = (bootstrap: string) => new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING })
    const connected = async (bootstrap: string) => {
      const producer = client(bootstrap).producer({ maxInFlightRequests: 5 })
      await producer.connect()
      return producer
    }
    return {
      async producer({ bootstrap, topic }) {
        const producer = await connected(bootstrap)
        return { send: (values) => producer.send({ topic, acks: -1, messages: values.map((value) => ({ value })) }) }
      },
      async single({ bootstrap, topic }) {
        const producer = await connected(bootstrap)
        return { send: (value) => producer.send({ topic, acks: -1, messages: [{ value }] }) }
      },
      async consume({ bootstrap, topic }, seen) {
        const consumer = client(bootstrap).consumer({ groupId: groupId(), maxBytesPerPartition: MIB, maxBytes: 50 * MIB })
        await consumer.connect()
        await consumer.subscribe({ topic, fromBeginning: true })
        await new Promise<void>((resolve, reject) => {
          const eachBatch = async ({ batch }: import('kafkajs').EachBatchPayload) => {
            let bytes = 0
            for (const { value } of batch.messages) bytes += value!.length
            if (seen(bytes)) resolve()
          }
          consumer.run({ partitionsConsumedConcurrently: PARTITIONS, eachBatch }).catch(reject)
        })
      },
    }
  },

  platformatic: async () => {
    const { Consumer, Producer } = (await import(
      pathToFileURL(peers.resolve('@platformatic/kafka')).href
    )) as typeof import('@platformatic/kafka')
    const send = async ({ bootstrap, topic }: Target) => {
      const producer = new Producer<Buffer, Buffer, Buffer, Buffer>({ clientId: 'bench', bootstrapBrokers: [bootstrap] })
      let next = 0
      return (values: readonly Buffer[]) =>
        producer.send({ acks: -1, messages: values.map((value) => ({ topic, value, partition: next++ % PARTITIONS })) })
    }
    return {
      async producer(target) {
        return { send: await send(target) }
      },
      async single(target) {
        const many = await send(target)
        return { send: (value) => many([value]) }
      },
      async consume({ bootstrap, topic }, seen) {
        const consumer = new Consumer({
          groupId: groupId(),
          clientId: 'bench',
          bootstrapBrokers: [bootstrap],
          maxWaitTime: 100,
          maxBytes: 50 * MIB,
        })
        const stream = await consumer.consume({ topics: [topic], mode: 'earliest', autocommit: false, highWaterMark: 10_000 })
        for await (const { value } of stream) if (seen(value.length)) return
      },
    }
  },

  'node-rdkafka': async () => {
    const rdkafka = peers('node-rdkafka') as NodeRdkafka
    const single = async ({ bootstrap, topic }: Target) => {
      const producer = new rdkafka.Producer({
        'bootstrap.servers': bootstrap,
        'linger.ms': 5,
        'queue.buffering.max.messages': 500_000,
        dr_cb: true,
        acks: -1,
      })
      await new Promise((resolve) => producer.connect({}, resolve))
      producer.setPollInterval(5)
      producer.on('delivery-report', (error, report) => report.opaque(error))
      const send = (value: Buffer) =>
        new Promise<void>((resolve, reject) => {
          const onDelivery = (error: unknown) => (error ? reject(error) : resolve())
          const attempt = () => {
            try {
              producer.produce(topic, null, value, null, null, onDelivery)
            } catch {
              // Its queue is full.
              setTimeout(attempt, 2)
            }
          }
          attempt()
        })
      return { send }
    }
    return {
      single,
      /** It has no call for many records. */
      async producer(target) {
        const { send } = await single(target)
        return { send: (values) => Promise.all(values.map(send)) }
      },
      async consume({ bootstrap, topic }, seen) {
        const consumer = new rdkafka.KafkaConsumer(
          { 'bootstrap.servers': bootstrap, 'group.id': groupId(), 'queued.min.messages': 1_000_000 },
          { 'auto.offset.reset': 'earliest' },
        )
        await new Promise((resolve) => consumer.connect({}, resolve))
        consumer.subscribe([topic])
        for (;;) {
          const messages = await new Promise<readonly { readonly value: Buffer }[]>((resolve, reject) =>
            consumer.consume(1000, (error, some) => (error ? reject(error) : resolve(some))),
          )
          if (seen(messages.reduce((bytes, { value }) => bytes + value.length, 0))) return
        }
      },
    }
  },
}

export const clientNames = Object.keys(adapters)

export function adapterOf(client: string): Promise<Adapter> {
  const load = adapters[client]
  if (load === undefined) throw new Error(`no client ${client}; there are ${clientNames.join(', ')}`)
  return load()
}

/** What is used of node-rdkafka, which is installed for a run and not with the project: it compiles C++. */
interface NodeRdkafka {
  readonly Producer: new (
    config: object,
  ) => {
    connect(options: object, done: (error: unknown) => void): void
    setPollInterval(ms: number): void
    on(event: 'delivery-report', listener: (error: unknown, report: { readonly opaque: (error: unknown) => void }) => void): void
    produce(topic: string, partition: null, value: Buffer, key: null, timestamp: null, opaque: unknown): void
  }
  readonly KafkaConsumer: new (
    config: object,
    topicConfig: object,
  ) => {
    connect(options: object, done: (error: unknown) => void): void
    subscribe(topics: readonly string[]): void
    consume(count: number, done: (error: unknown, messages: readonly { readonly value: Buffer }[]) => void): void
  }
}
