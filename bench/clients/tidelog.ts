/** Our client as a load driver uses it, by functions alone: any driver that loads an adapter's module can. Records are read one by one. */
import { Consumer, Producer, type ProducerOptions } from '@tidelog/client'

/** Is told how many bytes of values have just been touched; true: that is all. */
export type Seen = (bytes: number) => boolean

export interface Sender<T> {
  send(what: T): Promise<unknown>
  close(): Promise<void>
}

type Options = Omit<ProducerOptions<unknown, unknown>, 'bootstrapServers'>
/** As the guide on performance has it for streams of records; Kafka's default of 16 KiB is 15 records of 1 KiB. */
const forThroughput: Options = { batchSize: 256 * 1024 }

/** Many records a call. */
export function producer(bootstrapServers: string, topic: string, options = forThroughput): Sender<readonly Buffer[]> {
  const producer = new Producer({ bootstrapServers, ...options })
  return {
    send: (values) => producer.sendMany(values.map((value) => ({ topic, value }))),
    close: () => producer.close(),
  }
}

/** One record a call. */
export function singles(bootstrapServers: string, topic: string, options = forThroughput): Sender<Buffer> {
  const producer = new Producer({ bootstrapServers, ...options })
  return { send: (value) => producer.send({ topic, value }), close: () => producer.close() }
}

export async function consumer(bootstrapServers: string, topic: string, seen: Seen): Promise<void> {
  for await (const { value } of subscribed(bootstrapServers, topic).records()) if (seen(value!.length)) return
}

export function subscribed(bootstrapServers: string, topic: string): Consumer {
  const consumer = new Consumer({ bootstrapServers, groupId: `bench-${process.pid}`, autoOffsetReset: 'earliest' })
  consumer.subscribe([topic])
  return consumer
}
