import type { Broker } from '@tidelog/broker'
import { Admin, Consumer, type ConsumerOptions, Producer, type ProducerOptions, string } from '@tidelog/client'
import { ApiProxy } from './api-proxy.ts'
import { startTestBroker } from './start-ephemeral-broker.ts'

/** Something with an `after`: node:test's TestContext. */
interface Cleanup {
  after(close: () => void | Promise<void>): void
}

export interface ProxiedClients {
  readonly broker: Broker
  readonly proxy: ApiProxy
  /** Talks to the broker itself, past the proxy. */
  readonly admin: Admin
  /** Sends values to a partition, past the proxy. */
  readonly send: (topic: string, partition: number, ...values: readonly (string | null)[]) => Promise<void>
  /** Through the proxy; closed after the test. */
  readonly consumer: (options?: ConsumerOptions<string, string>) => Consumer<string, string>
  /** Through the proxy; closed after the test. */
  readonly producer: (options?: ProducerOptions<string, string>) => Producer<string, string>
}

/** A broker, a proxy before it that a test breaks things with, and clients with short waits. */
export async function startProxied(
  t: Cleanup,
  {
    topics = { a: 1 },
    nodes,
    config,
  }: {
    readonly topics?: Readonly<Record<string, number>>
    readonly nodes?: readonly number[]
    readonly config?: Readonly<Record<string, string>>
  } = {},
): Promise<ProxiedClients> {
  const broker = await startTestBroker(config === undefined ? {} : { config })
  // The proxy goes behind the clients, which would else wait for what they cannot say to the broker any more.
  const later: (() => void | Promise<void>)[] = []
  const proxy = await ApiProxy.start({ after: (close) => void later.push(close) }, broker, nodes === undefined ? {} : { nodes })
  const direct = { bootstrapServers: broker.bootstrapServers }
  const admin = new Admin(direct)
  const sender = new Producer<string, string>({ ...direct, valueSerializer: string })
  const clients: { close(options: { timeoutMs: number }): Promise<void> }[] = [sender]
  t.after(async () => {
    await Promise.all(clients.map((client) => client.close({ timeoutMs: 1000 })))
    await admin.close()
    for (const close of later) await close()
    await broker.close()
  })
  await admin.createTopics(Object.entries(topics).map(([topic, numPartitions]) => ({ topic, numPartitions })))
  const quick = { bootstrapServers: proxy.bootstrapServers, retryBackoffMs: 5, reconnectBackoffMs: 5, reconnectBackoffMaxMs: 50 }
  return {
    broker,
    proxy,
    admin,
    async send(topic, partition, ...values) {
      await sender.sendMany(values.map((value) => ({ topic, partition, value })))
    },
    consumer(options = {}) {
      const consumer = new Consumer<string, string>({
        ...quick,
        keyDeserializer: string,
        valueDeserializer: string,
        autoOffsetReset: 'earliest',
        // Under the consumer protocol the broker says it: see quickGroups.
        ...(options.groupProtocol === 'consumer' ? {} : { heartbeatIntervalMs: 50 }),
        metadataMaxAgeMs: 1000,
        fetchMaxWaitMs: 20,
        ...options,
      })
      clients.push(consumer)
      return consumer
    },
    producer(options = {}) {
      const producer = new Producer<string, string>({ ...quick, keySerializer: string, valueSerializer: string, ...options })
      clients.push(producer)
      return producer
    },
  }
}

/** Settings of a broker whose consumer groups (KIP-848) hear of a rebalance soon. */
export const quickGroups = {
  'group.consumer.min.heartbeat.interval.ms': '20',
  'group.consumer.heartbeat.interval.ms': '50',
  'group.consumer.min.session.timeout.ms': '500',
  'group.consumer.assignment.interval.ms': '0',
} as const

/** Polls until `count` records have come. @returns Their values. */
export async function readValues(consumer: Consumer<string, string>, count: number): Promise<(string | null)[]> {
  const values: (string | null)[] = []
  while (values.length < count) for (const { value } of await consumer.poll()) values.push(value)
  return values
}

/** Polls until the condition holds; what the polls bring is forgotten. */
export async function pollUntil(consumer: Consumer<string, string>, condition: () => boolean): Promise<void> {
  while (!condition()) await consumer.poll({ timeoutMs: 10 })
}
