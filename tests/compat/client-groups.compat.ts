import assert from 'node:assert/strict'
import test, { type TestContext } from 'node:test'
import { Admin, Consumer, type ConsumerOptions, Producer, SubscriptionPattern, string, type TopicPartition } from '@tidelog/client'
import { createLogger } from '@tidelog/core'
import { type BrokerProcess, startBrokerProcess } from './harness.ts'

const settings = {
  'offsets.topic.num.partitions': '1',
  'offsets.topic.replication.factor': '1',
  'group.initial.rebalance.delay.ms': '0',
  'group.min.session.timeout.ms': '1000',
  'group.consumer.min.heartbeat.interval.ms': '100',
  'group.consumer.heartbeat.interval.ms': '200',
  'group.consumer.assignment.interval.ms': '0',
}
/** A machine may stand still for seconds without anybody being put out, and who is gone without a word is out before pollUntil gives up. */
const classic: ConsumerOptions<string, string> = { heartbeatIntervalMs: 200, sessionTimeoutMs: 20_000 }
const consumerProtocol: ConsumerOptions<string, string> = { groupProtocol: 'consumer' }

type TestConsumer = Consumer<string, string>

const LINES_KEPT = 40
/** What each member has logged last: when one waits in vain, the reason is there. */
const logs = new WeakMap<TestConsumer, string[]>()

async function setUp(t: TestContext, broker: BrokerProcess, topics: Readonly<Record<string, number>>) {
  const bootstrapServers = broker.bootstrap
  const admin = new Admin({ bootstrapServers })
  const producer = new Producer<string, string>({ bootstrapServers, valueSerializer: string })
  t.after(async () => {
    await producer.close()
    await admin.close()
  })
  await admin.createTopics(Object.entries(topics).map(([topic, numPartitions]) => ({ topic, numPartitions })))
  const member = (options: ConsumerOptions<string, string>): TestConsumer => {
    const quick = { fetchMaxWaitMs: 50, metadataMaxAgeMs: 500, autoOffsetReset: 'earliest', valueDeserializer: string }
    const lines: string[] = []
    const write = (line: string): void => {
      lines.push(line)
      if (lines.length > LINES_KEPT) lines.shift()
    }
    const logger = createLogger({ level: 'debug', destination: { write } })
    const consumer = new Consumer<string, string>({ bootstrapServers, logger, ...quick, ...options })
    logs.set(consumer, lines)
    t.after(() => consumer.close({ timeoutMs: 2000 }))
    return consumer
  }
  return { admin, producer, member }
}

/** Polls all of them in turn until the condition holds. @returns What they brought. */
async function pollUntil(consumers: readonly TestConsumer[], condition: (values: readonly string[]) => boolean): Promise<string[]> {
  const values: string[] = []
  const deadline = performance.now() + 60_000
  while (!condition(values)) {
    if (performance.now() > deadline) assert.fail(`in vain, with ${values.join(', ')}${consumers.map(stateOf).join('')}`)
    for (const consumer of consumers) for (const { value } of await consumer.poll({ timeoutMs: 20 })) values.push(value!)
  }
  return values
}

const stateOf = (consumer: TestConsumer): string =>
  `\n${JSON.stringify(consumer.groupMetadata())} has ${sorted(consumer.assignment()).join()}\n${logs.get(consumer)!.join('')}`
const sorted = (partitions: readonly TopicPartition[]): string[] => partitions.map(({ topic, partition }) => `${topic}-${partition}`).sort()
const never = () => false

/** Two static members and a restart of one of them, one that comes and goes, and a restart of the broker, under either protocol. */
async function staticMembers(
  t: TestContext,
  broker: BrokerProcess,
  topic: string,
  options: ConsumerOptions<string, string>,
): Promise<void> {
  const { producer, member } = await setUp(t, broker, { [topic]: 4 })
  const join = (groupInstanceId?: string) => {
    const consumer = member({ ...options, groupId: topic, groupInstanceId })
    consumer.subscribe([topic])
    return consumer
  }
  const [one, two] = [join('one'), join('two')]
  await pollUntil([one, two], () => one.assignment().length === 2 && two.assignment().length === 2)
  const mine = sorted(two.assignment())
  await two.close()
  const again = join('two')
  await pollUntil([one, again], () => again.assignment().length === 2)
  assert.deepEqual(sorted(again.assignment()), mine)
  const third = join()
  await pollUntil(
    [one, again, third],
    () => third.assignment().length > 0 && one.assignment().length + again.assignment().length + third.assignment().length === 4,
  )
  await third.close()
  await pollUntil([one, again], () => one.assignment().length + again.assignment().length === 4)
  await producer.sendMany([0, 1, 2, 3].map((partition) => ({ topic, partition, value: `before ${partition}` })))
  const before = await pollUntil([one, again], (values) => values.length >= 4)
  assert.deepEqual(before.sort(), ['before 0', 'before 1', 'before 2', 'before 3'])
  await Promise.all([one.commit(), again.commit()])
  await broker.restart()
  await producer.sendMany([0, 1, 2, 3].map((partition) => ({ topic, partition, value: `after ${partition}` })))
  const after = await pollUntil([one, again], (values) => new Set(values).size >= 4)
  assert.deepEqual([...new Set(after)].sort(), ['after 0', 'after 1', 'after 2', 'after 3'])
  const twin = join('two')
  // Of two with one name the old protocol keeps the newcomer, the new one who was there before.
  const loser = options.groupProtocol === 'consumer' ? twin : again
  await assert.rejects(pollUntil(loser === twin ? [twin] : [one, twin, again], never), {
    code: loser === twin ? 'UNRELEASED_INSTANCE_ID' : 'FENCED_INSTANCE_ID',
  })
}

test('Apache Kafka 4.3: our members of groups of both protocols, static ones too, over restarts of theirs and of the broker (G3, G4)', async (t) => {
  const broker = await startBrokerProcess(t, settings, 'kafka-4.3')
  await staticMembers(t, broker, 'old', classic)
  await staticMembers(t, broker, 'new', consumerProtocol)
})

test('Apache Kafka 4.3: patterns, assignors and refusals of the consumer protocol', async (t) => {
  const broker = await startBrokerProcess(t, settings, 'kafka-4.3')
  const { producer, member, admin } = await setUp(t, broker, { 'log-a': 1, 'log-b': 2, other: 1 })
  await producer.sendMany(['log-a', 'log-b', 'other'].map((topic) => ({ topic, partition: 0, value: topic })))
  const byPattern = member({ ...consumerProtocol, groupId: 'p', groupRemoteAssignor: 'range' })
  byPattern.subscribe(new SubscriptionPattern('log-.*'))
  assert.deepEqual((await pollUntil([byPattern], (values) => values.length === 2)).sort(), ['log-a', 'log-b'])
  assert.equal((await admin.describeConsumerGroups(['p'])).get('p')!.partitionAssignor, 'range')
  byPattern.subscribe(['other'])
  await pollUntil([byPattern], () => sorted(byPattern.assignment()).join() === 'other-0')
  const byRegExp = member({ ...consumerProtocol, groupId: 'r' })
  byRegExp.subscribe(/^log-(?!a)/)
  await pollUntil([byRegExp], () => sorted(byRegExp.assignment()).join() === 'log-b-0,log-b-1')
  await admin.createTopics([{ topic: 'log-c', numPartitions: 1 }])
  await pollUntil([byRegExp], () => byRegExp.assignment().length === 3)
  await admin.deleteTopics(['log-b'])
  await pollUntil([byRegExp], () => sorted(byRegExp.assignment()).join() === 'log-c-0')
  const bad = member({ ...consumerProtocol, groupId: 'b' })
  bad.subscribe(new SubscriptionPattern('('))
  await assert.rejects(pollUntil([bad], never), { code: 'INVALID_REGULAR_EXPRESSION' })
  const strange = member({ ...consumerProtocol, groupId: 's', groupRemoteAssignor: 'best' })
  strange.subscribe(['other'])
  await assert.rejects(pollUntil([strange], never), { code: 'UNSUPPORTED_ASSIGNOR' })
})

test('Apache Kafka 3.9: classic groups work, the consumer protocol is refused in words that help', async (t) => {
  const broker = await startBrokerProcess(t, settings, 'kafka-3.9')
  await staticMembers(t, broker, 'old', classic)
  const { member } = await setUp(t, broker, { a: 1 })
  const refused = member({ ...consumerProtocol, groupId: 'n' })
  refused.subscribe(['a'])
  await assert.rejects(pollUntil([refused], never), { code: 'UNSUPPORTED_VERSION', message: /use groupProtocol: 'classic'/ })
})
