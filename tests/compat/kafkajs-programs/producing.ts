import type { Message, PartitionerArgs } from 'kafkajs'
import { failure, kafkaOf, ledTopics, type Program } from './program.ts'

const keyed = (count: number): Message[] => Array.from({ length: count }, (_, i) => ({ key: `key-${i}`, value: `value-${i}` }))

/** Everything that send() and sendBatch() take, give and refuse. */
export const producing: Program = async (library, bootstrap) => {
  const kafka = kafkaOf(library, bootstrap)
  const { CompressionTypes, Partitioners } = library
  const admin = kafka.admin()
  await admin.connect()
  const topics = ['a', 'b', 'custom', 'legacy']
  await admin.createTopics({ topics: topics.map((topic) => ({ topic, numPartitions: 7 })) })
  await ledTopics(admin, topics)
  const results: unknown[] = []

  const producer = kafka.producer()
  results.push(await failure(() => producer.send({ topic: 'a', messages: keyed(1) })))
  await producer.connect()
  results.push(producer.isIdempotent(), await producer.send({ topic: 'a', messages: keyed(50) }))
  for (const acks of [-1, 1, 0]) results.push(await producer.send({ topic: 'a', acks, messages: [{ key: 'k', value: 'v' }] }))
  results.push(
    await producer.sendBatch({
      compression: CompressionTypes.GZIP,
      topicMessages: [
        { topic: 'a', messages: [{ value: 'one', partition: 3 }] },
        {
          topic: 'b',
          messages: [{ key: null, value: null, partition: 0, headers: { h: Buffer.from('x') }, timestamp: '1700000000000' }],
        },
        { topic: 'a', messages: [{ value: 'two', partition: 3 }] },
      ],
    }),
  )
  results.push(await producer.sendBatch({}), await producer.send({ topic: 'a', messages: [] }))
  results.push(await failure(() => producer.send({ topic: 'a', messages: [{ key: 'k' } as Message] })))
  results.push(await failure(() => producer.send({ topic: '', messages: keyed(1) })))
  results.push(await failure(() => producer.send({ topic: 'a', messages: undefined as unknown as Message[] })))
  results.push(await failure(() => producer.send({ topic: 'a', messages: [{ value: 'x'.repeat(1_200_000), partition: 0 }] })))
  results.push(await failure(() => producer.send({ topic: 'bad topic', messages: keyed(1) })))
  results.push(await failure(() => producer.transaction()))
  results.push(await failure(() => (producer.on as (name: string, listener: () => void) => void)('producer.sneeze', () => {})))
  await producer.disconnect()
  results.push(await failure(() => producer.send({ topic: 'a', messages: keyed(1) })))

  const seen: PartitionerArgs[] = []
  const createPartitioner = () => (args: PartitionerArgs) => {
    seen.push(args)
    return args.message.key === 'left' ? 1 : 5
  }
  const custom = kafka.producer({ createPartitioner, idempotent: true, maxInFlightRequests: 1 })
  await custom.connect()
  const messages = [{ key: 'left', value: '1' }, { value: '2' }]
  results.push(custom.isIdempotent(), await custom.send({ topic: 'custom', messages }))
  results.push(seen.map(({ topic, message, partitionMetadata }) => [topic, message, partitionMetadata]))
  results.push(await failure(() => custom.send({ topic: 'custom', acks: 1, messages })))
  await custom.disconnect()
  results.push(await failure(() => kafka.producer({ idempotent: true, retry: { retries: 0 } })))

  const legacy = kafka.producer({ createPartitioner: Partitioners.LegacyPartitioner })
  await legacy.connect()
  results.push(await legacy.send({ topic: 'legacy', messages: keyed(50) }))
  await legacy.disconnect()

  const strict = kafka.producer({ allowAutoTopicCreation: false, retry: { retries: 1 } })
  await strict.connect()
  results.push(await failure(() => strict.send({ topic: 'not-there', messages: keyed(1) })))
  await strict.disconnect()
  results.push(await admin.fetchTopicOffsets('a'), await admin.fetchTopicOffsets('b'))
  await admin.disconnect()
  return results
}

/** Transactions: what they give, and what they refuse. */
export const transacting: Program = async (library, bootstrap) => {
  const kafka = kafkaOf(library, bootstrap)
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: 'paid' }] })
  await ledTopics(admin, ['paid'])
  const results: unknown[] = []
  const producer = kafka.producer({ transactionalId: 'cashier', idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  const first = await producer.transaction()
  results.push(first.isActive(), await failure(() => producer.transaction()))
  await first.send({ topic: 'paid', compression: library.CompressionTypes.GZIP, messages: [{ value: 'a' }] })
  await first.sendOffsets({ consumerGroupId: 'shop', topics: [{ topic: 'paid', partitions: [{ partition: 0, offset: '7' }] }] })
  await first.commit()
  results.push(first.isActive(), await failure(() => first.send({ topic: 'paid', messages: [{ value: 'b' }] })))
  results.push(await failure(() => first.commit()), await failure(() => first.abort()))
  const second = await producer.transaction()
  await second.sendBatch({ topicMessages: [{ topic: 'paid', messages: [{ value: 'c' }] }] })
  await second.abort()
  const empty = await producer.transaction()
  await empty.commit()
  results.push(await admin.fetchOffsets({ groupId: 'shop', topics: ['paid'] }))

  const heir = kafka.producer({ transactionalId: 'cashier', idempotent: true, maxInFlightRequests: 1 })
  await heir.connect()
  const third = await heir.transaction()
  await third.abort()
  const fenced = await producer.transaction().catch((error: Error) => error)
  if (fenced instanceof Error) results.push('fenced')
  else
    results.push(((await failure(() => fenced.send({ topic: 'paid', messages: [{ value: 'd' }] }))) as { type?: string }).type ?? 'fenced')
  await producer.disconnect()
  await heir.disconnect()
  await admin.disconnect()
  return results
}
