import type { Batch, Consumer, ConsumerRunConfig, EachMessagePayload, OffsetsByTopicPartition } from 'kafkajs'
import { eventually } from '../eventually.ts'
import { errorOf, failure, kafkaOf, type Program, signal } from './program.ts'

const consumerConfig = { heartbeatInterval: 100, maxWaitTimeInMs: 100, retry: { initialRetryTime: 30, retries: 3 } } as const

const shownBatch = (batch: Batch) => ({
  topic: batch.topic,
  partition: batch.partition,
  highWatermark: batch.highWatermark,
  values: batch.messages.map(({ value }) => String(value)),
  isEmpty: batch.isEmpty(),
  offsets: [batch.firstOffset(), batch.lastOffset(), batch.offsetLag(), batch.offsetLagLow()],
})

/** In kafkajs numbers of partitions are text here, against its own types. */
const shownOffsets = ({ topics }: OffsetsByTopicPartition) =>
  topics.map(({ topic, partitions }) => [topic, partitions.map(({ partition, offset }) => [Number(partition), offset])])

/** A topic of one partition with these values. */
async function topicWith(kafka: ReturnType<typeof kafkaOf>, topic: string, count: number): Promise<void> {
  const producer = kafka.producer()
  await producer.connect()
  const messages = Array.from({ length: count }, (_, i) => ({
    key: `k${i}`,
    value: `${i}`,
    headers: { i: [`${i}`, 'again'] },
    partition: 0,
  }))
  await producer.send({ topic, messages })
  await producer.disconnect()
}

const committedOf = async (kafka: ReturnType<typeof kafkaOf>, groupId: string, topic: string) => {
  const admin = kafka.admin()
  await admin.connect()
  const offsets = await admin.fetchOffsets({ groupId, topics: [topic] })
  await admin.disconnect()
  return offsets[0]?.partitions[0]?.offset
}

/** Runs a consumer until `isDone` holds; gives what its handlers noted. */
async function consuming(
  consumer: Consumer,
  topic: string,
  config: (note: (what: unknown) => void) => ConsumerRunConfig,
  isDone: (notes: unknown[]) => boolean,
): Promise<unknown[]> {
  const notes: unknown[] = []
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  await consumer.run(config((what) => notes.push(what)))
  await eventually(`the handlers of ${topic} are done, after ${JSON.stringify(notes)}`, () => isDone(notes))
  await consumer.disconnect()
  return notes
}

/** eachBatch with all of its payload, and what is committed after it. */
export const batches: Program = async (library, bootstrap) => {
  const kafka = kafkaOf(library, bootstrap)
  await topicWith(kafka, 'batches', 10)
  const results: unknown[] = []
  const stepByStep = await consuming(
    kafka.consumer({ ...consumerConfig, groupId: 'step-by-step' }),
    'batches',
    (note) => ({
      eachBatchAutoResolve: false,
      autoCommitThreshold: 3,
      async eachBatch({ batch, resolveOffset, heartbeat, commitOffsetsIfNecessary, uncommittedOffsets, isRunning, isStale }) {
        note(shownBatch(batch))
        for (const message of batch.messages.slice(0, 4)) {
          resolveOffset(message.offset)
          await heartbeat()
          await commitOffsetsIfNecessary()
          note([message.offset, shownOffsets(uncommittedOffsets()), isRunning(), isStale()])
        }
        if (batch.messages.length < 5) return
        await commitOffsetsIfNecessary(uncommittedOffsets())
        note(shownOffsets(uncommittedOffsets()))
      },
    }),
    (notes) => notes.length >= 14,
  )
  results.push(stepByStep.slice(0, 14), await committedOf(kafka, 'step-by-step', 'batches'))

  const manual = kafka.consumer({ ...consumerConfig, groupId: 'manual' })
  results.push(await failure(() => manual.commitOffsets([{ topic: 'batches', partition: 0, offset: '1' }])))
  results.push(await failure(() => manual.seek({ topic: 'batches', partition: 0, offset: '1' })))
  results.push(await failure(() => manual.pause([{ topic: 'batches' }])), manual.paused())
  results.push(
    await consuming(
      manual,
      'batches',
      (note) => ({
        autoCommit: false,
        async eachBatch({ batch }) {
          note(batch.messages.length)
          await manual.commitOffsets([{ topic: 'batches', partition: 0, offset: '6', metadata: 'm' }])
        },
      }),
      (notes) => notes.length === 1,
    ),
    await committedOf(kafka, 'manual', 'batches'),
  )
  return results
}

/** A handler that fails: tried again from the message that failed, then a crash, and what follows from it. */
export const failing: Program = async (library, bootstrap) => {
  const kafka = kafkaOf(library, bootstrap)
  await topicWith(kafka, 'failing', 5)
  const results: unknown[] = []
  results.push(
    await consuming(
      kafka.consumer({ ...consumerConfig, groupId: 'recovers' }),
      'failing',
      (note) => {
        let failures = 0
        return {
          async eachMessage({ message }) {
            note(message.offset)
            if (message.offset === '2' && failures++ < 2) throw new Error('not yet')
          },
        }
      },
      (notes) => notes.includes('4'),
    ),
    await committedOf(kafka, 'recovers', 'failing'),
  )
  for (const [groupId, thrown] of [
    ['gives-up', () => new Error('never')],
    ['mistaken', () => new TypeError('undefined is no function')],
    ['wordy', () => 'no error at all'],
  ] as const) {
    const asked: unknown[] = []
    const restartOnFailure = async (error: Error) => {
      asked.push(errorOf(error))
      return false
    }
    const consumer = kafka.consumer({ ...consumerConfig, groupId, retry: { initialRetryTime: 10, retries: 2, restartOnFailure } })
    const crashes: unknown[] = []
    consumer.on(consumer.events.CRASH, ({ payload: { error, groupId: group, restart } }) =>
      crashes.push({ error: errorOf(error), message: error.message, group, restart }),
    )
    const ends: string[] = []
    for (const event of [consumer.events.STOP, consumer.events.DISCONNECT])
      consumer.on(event as never, ({ type }: { type: string }) => ends.push(type))
    const seen: string[] = []
    await consumer.connect()
    await consumer.subscribe({ topic: 'failing', fromBeginning: true })
    await consumer.run({
      async eachMessage({ message }) {
        seen.push(message.offset)
        if (message.offset === '1') throw thrown()
      },
    })
    await eventually('it has crashed', () => crashes.length > 0)
    await consumer.disconnect()
    results.push({ seen, crashes, asked, ends: ends.slice(0, 2), committed: await committedOf(kafka, groupId, 'failing') })
  }
  return results
}

/** Seeks and pauses, before the group has formed and from within handlers. */
export const moving: Program = async (library, bootstrap) => {
  const kafka = kafkaOf(library, bootstrap)
  await topicWith(kafka, 'moving', 6)
  const consumer = kafka.consumer({ ...consumerConfig, groupId: 'moves' })
  const seen: string[] = []
  const paused: unknown[] = []
  let resume: (() => void) | undefined
  const eachMessage = async ({ message, pause }: EachMessagePayload) => {
    seen.push(message.offset)
    if (message.offset === '4' && resume === undefined) {
      resume = pause()
      paused.push(consumer.paused())
    }
  }
  await consumer.connect()
  await consumer.subscribe({ topic: 'moving', fromBeginning: true })
  const running = consumer.run({ eachMessage })
  consumer.seek({ topic: 'moving', partition: 0, offset: '3' })
  await running
  await eventually('it is paused', () => resume !== undefined)
  const whilePaused = [...seen]
  resume?.()
  paused.push(consumer.paused())
  await eventually('it has gone on', () => seen.at(-1) === '5')
  consumer.pause([{ topic: 'moving' }])
  paused.push(consumer.paused())
  consumer.seek({ topic: 'moving', partition: 0, offset: '1' })
  consumer.resume([{ topic: 'moving', partitions: [0] }])
  paused.push(consumer.paused())
  await eventually('it reads again', () => seen.filter((offset) => offset === '5').length === 2)
  const refused = [
    await failure(() => consumer.seek({ topic: 'moving', partition: 0, offset: '-7' })),
    await failure(() => consumer.seek({ topic: '', partition: 0, offset: '1' })),
    await failure(() => consumer.seek({ topic: 'moving', partition: 0, offset: 'x' })),
    await failure(() => consumer.pause([{ topic: '' }])),
    await failure(() => consumer.commitOffsets([{ topic: 'moving', partition: 0, offset: '-1' }])),
    await failure(() => consumer.subscribe({ topic: 'moving' })),
  ]
  await consumer.disconnect()
  return { whilePaused, seen, paused, refused, committed: await committedOf(kafka, 'moves', 'moving') }
}

/** Every event's name, and what of its payload is the same each time. */
export const watching: Program = async (library, bootstrap) => {
  const kafka = kafkaOf(library, bootstrap)
  await topicWith(kafka, 'watching', 3)
  const consumer = kafka.consumer({ ...consumerConfig, groupId: 'watched', heartbeatInterval: 20 })
  const events = new Map<string, unknown>()
  const order: string[] = []
  for (const name of Object.values(consumer.events)) {
    consumer.on(name as never, ({ type, payload }: { type: string; payload: Record<string, unknown> | null }) => {
      if (!events.has(type)) order.push(type)
      events.set(type, Object.keys(payload ?? {}).sort())
    })
  }
  const heard = signal()
  const remove = consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload: { topic, partition, firstOffset, lastOffset, batchSize } }) => {
    order.push(JSON.stringify({ topic, partition, firstOffset, lastOffset, batchSize }))
    heard.give()
    remove()
  })
  await consumer.connect()
  await consumer.subscribe({ topic: 'watching', fromBeginning: true })
  await consumer.run({ eachMessage: async () => {} })
  await heard.given
  await eventually('there was a heartbeat', () => events.has(consumer.events.HEARTBEAT))
  await consumer.disconnect()
  const always = /heartbeat|fetch|network/
  const fromNetwork = [consumer.events.REQUEST, consumer.events.FETCH, consumer.events.HEARTBEAT].map((name) => events.get(name))
  return {
    names: consumer.events,
    order: order.filter((name) => !always.test(name)),
    fromNetwork,
    payloads: [...events].filter(([name]) => !always.test(name)).sort(),
  }
}
