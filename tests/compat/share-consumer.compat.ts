/** Our share consumer as a member of share groups of Apache Kafka 4.3, alone, with others of its kind and with Java's. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import {
  type AcknowledgementOutcome,
  Admin,
  Producer,
  ShareConsumer,
  type ShareConsumerOptions,
  type ShareRecord,
  string,
} from '@tidelog/client'
import { until } from '@tidelog/testkit'
import { BackgroundProcess } from './background.ts'
import { eventually } from './eventually.ts'
import { type BrokerProcess, javaArgs, kafkaJars, root, startBrokerProcess } from './harness.ts'

const shareGroups = {
  'share.coordinator.state.topic.replication.factor': '1',
  'share.coordinator.state.topic.min.isr': '1',
  'share.coordinator.state.topic.num.partitions': '1',
  'group.share.min.record.lock.duration.ms': '1000',
  'group.share.heartbeat.interval.ms': '500',
  'group.share.min.heartbeat.interval.ms': '500',
  'group.share.session.timeout.ms': '6000',
  'group.share.min.session.timeout.ms': '6000',
}

/** The machine may have other things to do while a JVM starts. */
const STEP_TIMEOUT_MS = 150_000

interface Stage {
  readonly broker: BrokerProcess
  readonly admin: Admin
  /** A topic with records `0`, `1`…, and a group that begins with the first. */
  topic(name: string, records: number, options?: { partitions?: number; group?: Record<string, string> }): Promise<void>
  consumer(t: TestContext, groupId: string, options?: Partial<ShareConsumerOptions<string, string>>): ShareConsumer<string, string>
  produce(topic: string, values: readonly string[], partition?: number): Promise<void>
}

async function stageOf(t: TestContext): Promise<Stage> {
  const broker = await startBrokerProcess(t, shareGroups, 'kafka-4.3')
  const { bootstrap: bootstrapServers } = broker
  const admin = new Admin({ bootstrapServers })
  const producer = new Producer({ bootstrapServers, keySerializer: string, valueSerializer: string, compressionType: 'lz4' })
  t.after(async () => {
    await producer.close()
    await admin.close()
  })
  const produce = async (topic: string, values: readonly string[], partition?: number) => {
    await producer.sendMany(values.map((value, i) => ({ topic, value, partition: partition ?? i % 1 })))
  }
  return {
    broker,
    admin,
    produce,
    async topic(name, records, { partitions = 1, group = {} } = {}) {
      await admin.createTopics([{ topic: name, numPartitions: partitions }])
      const configs = { 'share.auto.offset.reset': 'earliest', ...group }
      const ops = Object.entries(configs).map(([key, value]) => ({ name: key, op: 'set' as const, value }))
      await admin.incrementalAlterConfigs([{ resource: { type: 'group', name: name }, ops }])
      const values = Array.from({ length: records }, (_, i) => String(i))
      for (let partition = 0; partition < partitions; partition++)
        await produce(
          name,
          values.filter((_, i) => i % partitions === partition),
          partition,
        )
    },
    consumer(inner, groupId, options = {}) {
      const consumer = new ShareConsumer<string, string>({
        bootstrapServers,
        groupId,
        keyDeserializer: string,
        valueDeserializer: string,
        ...options,
      })
      inner.after(() => consumer.close())
      consumer.subscribe([groupId])
      return consumer
    },
  }
}

const sorted = (values: Iterable<string | null>) => [...values].map(Number).sort((a, b) => a - b)
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i)

const steps: Readonly<Record<string, (stage: Stage, t: TestContext) => Promise<void>>> = {
  async 'implicit: what the next poll or commit() confirms is done, and comes to nobody again'({ topic, consumer, admin }, t) {
    await topic('implicit', 100)
    const outcomes: AcknowledgementOutcome[] = []
    const first = consumer(t, 'implicit', { onAcknowledged: (outcome) => outcomes.push(outcome) })
    const seen: string[] = []
    while (seen.length < 100) for (const record of await first.poll({ maxRecords: 30 })) seen.push(record.value!)
    assert.deepEqual(seen, upTo(100).map(String))
    await first.commit()
    assert.ok(first.acquisitionLockTimeoutMs! > 0)
    assert.deepEqual(
      outcomes.map(({ error }) => error),
      outcomes.map(() => undefined),
    )
    assert.deepEqual(
      outcomes.flatMap(({ offsets }) => offsets),
      upTo(100),
    )
    const partition = { topic: 'implicit', partition: 0 }
    // Where a group begins is written down now and then; what it has yet to do, with every acknowledgement.
    const standing = async () => (await admin.listShareGroupOffsets(new Map([['implicit', undefined]]))).get('implicit')?.get(partition)
    await eventually('all is done', async () => (await standing())?.lag === 0)
    const group = (await admin.describeShareGroups(['implicit'])).get('implicit')!
    assert.deepEqual([group.state, group.members.length, group.members[0]!.assignment], ['Stable', 1, [partition]])
    await assert.rejects(admin.deleteShareGroups(['implicit']), { code: 'NON_EMPTY_GROUP' })
    await first.close()
    assert.equal((await admin.describeShareGroups(['implicit'])).get('implicit')!.members.length, 0, 'it has left')
    await admin.alterShareGroupOffsets('implicit', [{ ...partition, offset: 90 }])
    const second = consumer(t, 'implicit')
    assert.deepEqual(
      (await second.poll()).map(({ offset }) => offset),
      upTo(100).slice(90),
    )
  },

  async 'explicit: accepted and rejected records are gone, released ones come again and count'({ topic, consumer }, t) {
    await topic('explicit', 6)
    const share = consumer(t, 'explicit', { acknowledgement: 'explicit' })
    const records = await share.poll()
    assert.deepEqual(
      records.map(({ value, deliveryCount }) => [value, deliveryCount]),
      upTo(6).map((i) => [String(i), 1]),
    )
    await assert.rejects(share.poll({ timeoutMs: 10 }), { code: 'ILLEGAL_STATE' })
    for (const [i, record] of records.entries()) {
      if (i % 3 === 0) record.accept()
      else if (i % 3 === 1) record.release()
      else record.reject()
    }
    assert.throws(() => records[0]!.accept(), { code: 'ILLEGAL_STATE' })
    const again = await share.poll()
    assert.deepEqual(
      again.map(({ value, deliveryCount }) => [value, deliveryCount]),
      [
        ['1', 2],
        ['4', 2],
      ],
    )
    for (const record of again) record.accept()
    await share.commit()
    assert.deepEqual(await share.poll({ timeoutMs: 700 }), [])
    const metrics = new Map(share.metrics().map(({ name, value }) => [name, value]))
    assert.deepEqual([metrics.get('records-consumed-total'), metrics.get('acknowledgements-send-total')], [8, 8])
  },

  async 'the acquisition lock: renewed it holds, else the record goes to another and the late acknowledgement fails'(
    { topic, consumer },
    t,
  ) {
    await topic('lock', 2, { group: { 'share.record.lock.duration.ms': '1500' } })
    const slow = consumer(t, 'lock', { acknowledgement: 'explicit', maxPollRecords: 2, shareAcquireMode: 'record_limit' })
    const [kept, late] = (await slow.poll()) as [ShareRecord<string, string>, ShareRecord<string, string>]
    assert.equal(slow.acquisitionLockTimeoutMs, 1500)
    const other = consumer(t, 'lock', { acknowledgement: 'explicit' })
    const polled = other.poll({ timeoutMs: 20_000 })
    const renewing = setInterval(() => kept.renew().catch((error) => assert.fail(error)), 400)
    const [record] = await polled
    clearInterval(renewing)
    assert.deepEqual([record!.offset, record!.deliveryCount], [late.offset, 2])
    late.accept()
    kept.accept()
    await assert.rejects(slow.commit(), { code: 'INVALID_RECORD_STATE' })
    record!.accept()
    await other.commit()
  },

  async 'run() keeps what a slow handler has, and what waits behind it, beyond the time of the lock'({ topic, consumer }, t) {
    await topic('slow', 3, { group: { 'share.record.lock.duration.ms': '1500' } })
    const slow = consumer(t, 'slow')
    const stop = new AbortController()
    const seen: string[] = []
    let other: Promise<ShareRecord<string, string>[]> | undefined
    const running = slow.run({
      async eachRecord({ value, deliveryCount }) {
        other ??= consumer(t, 'slow').poll({ timeoutMs: 7000 })
        await new Promise((resolve) => setTimeout(resolve, 2000))
        seen.push(`${value}:${deliveryCount}`)
        if (seen.length === 3) stop.abort()
      },
      signal: stop.signal,
    })
    await running
    await slow.commit()
    assert.deepEqual(seen, ['0:1', '1:1', '2:1'])
    assert.deepEqual(await other, [])
  },

  async 'close() gives back at once what is not acknowledged'({ topic, consumer }, t) {
    await topic('close', 10)
    const first = consumer(t, 'close', { acknowledgement: 'explicit' })
    const records = await first.poll()
    assert.equal(records.length, 10)
    for (const record of records.slice(0, 4)) record.accept()
    await first.close()
    const second = consumer(t, 'close')
    assert.deepEqual(
      (await second.poll({ timeoutMs: 10_000 })).map(({ offset, deliveryCount }) => [offset, deliveryCount]),
      upTo(10)
        .slice(4)
        .map((i) => [i, 2]),
    )
  },

  async 'what a killed member had comes again, for the second time'({ broker, topic, consumer }, t) {
    await topic('killed', 5)
    const script = `
      import { ShareConsumer } from ${JSON.stringify(join(root, 'packages/client/dist/index.js'))}
      const share = new ShareConsumer({ bootstrapServers: '${broker.bootstrap}', groupId: 'killed', acknowledgement: 'explicit' })
      share.subscribe(['killed'])
      const records = await share.poll()
      records[0].accept()
      await share.commit()
      console.log('has ' + records.length)
      setInterval(() => {}, 1000)`
    const member = new BackgroundProcess(t, process.execPath, ['--input-type=module', '-e', script])
    await member.until('records', () => member.lines.includes('has 5'))
    const survivor = consumer(t, 'killed')
    const polled = survivor.poll({ timeoutMs: 40_000 })
    await member.kill()
    assert.deepEqual(
      (await polled).map(({ offset, deliveryCount }) => [offset, deliveryCount]),
      upTo(5)
        .slice(1)
        .map((i) => [i, 2]),
    )
  },

  async "members share partitions: every record goes to one of them, Java's among them"({ broker, topic, consumer, produce }, t) {
    await topic('shared', 0, { partitions: 3 })
    const java = new BackgroundProcess(t, 'java', [
      ...javaArgs,
      '-Xmx256M',
      '-cp',
      await kafkaJars('4.3.0'),
      'org.apache.kafka.tools.consumer.ConsoleShareConsumer',
      '--bootstrap-server',
      broker.bootstrap,
      '--topic',
      'shared',
      '--group',
      'shared',
    ])
    const ours = [1, 2].map(() => consumer(t, 'shared', { maxPollRecords: 20 }))
    const seen: string[][] = [[], []]
    const stop = new AbortController()
    const running = ours.map((share, i) =>
      share.run({ eachRecord: async ({ value }) => void seen[i]!.push(value!), concurrency: 4, signal: stop.signal }),
    )
    let sent = 0
    // Until everybody has had some: how brokers spread records over members is their business.
    while (java.lines.length === 0 || seen.some((values) => values.length === 0)) {
      await produce(
        'shared',
        upTo(60).map((i) => String(sent + i)),
        (sent / 60) % 3,
      )
      sent += 60
      assert.ok(sent < 60_000, `nobody else gets any: ${java.lines.length}, ${seen.map((values) => values.length)}`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    await until(async () => java.lines.length + seen.flat().length >= sent)
    assert.deepEqual(sorted([...java.lines, ...seen.flat()]), upTo(sent))
    stop.abort()
    await Promise.all(running)
  },

  async 'a handler that throws leaves its record to others; onError decides otherwise'({ topic, consumer }, t) {
    await topic('handlers', 4)
    const share = consumer(t, 'handlers', { maxPollRecords: 1, shareAcquireMode: 'record_limit' })
    const failing = share.run({
      eachRecord: ({ value }) => {
        if (value === '1') throw new Error('not this one')
      },
    })
    await assert.rejects(failing, /not this one/)
    const stop = new AbortController()
    const deliveries: string[] = []
    await share.run({
      eachRecord: ({ value, deliveryCount }) => {
        deliveries.push(`${value}:${deliveryCount}`)
        if (deliveries.length === 4) stop.abort()
        if (value === '2' && deliveryCount === 1) throw new Error('later')
        if (value === '3') throw new Error('never')
      },
      onError: (error) => ((error as Error).message === 'later' ? 'release' : 'reject'),
      signal: stop.signal,
    })
    assert.ok(deliveries.includes('1:2') && deliveries.includes('2:2'), deliveries.join())
  },

  async 'records(): a loop that comes back accepts, one that breaks leaves its last record to others'({ topic, consumer }, t) {
    await topic('loop', 5)
    const share = consumer(t, 'loop')
    for await (const record of share.records()) if (record.offset === 2) break
    await share.commit()
    const offsets: string[] = []
    for await (const { offset, deliveryCount } of share.records()) {
      offsets.push(`${offset}:${deliveryCount}`)
      if (offsets.length === 3) break
    }
    assert.deepEqual(offsets.sort(), ['2:2', '3:1', '4:1'])
    await assert.rejects(share.poll({ signal: AbortSignal.abort(new Error('enough')) }), /enough/)
  },

  async "aborted transactions are nobody's where the group reads committed records only"({ broker, topic, consumer }, t) {
    await topic('committed', 0, { group: { 'share.isolation.level': 'read_committed' } })
    const producer = new Producer({ bootstrapServers: broker.bootstrap, transactionalId: 'share', valueSerializer: string })
    t.after(() => producer.close())
    for (let round = 0; round < 3; round++) {
      const abort = new Error('undone')
      const transaction = producer.transaction(async (txn) => {
        for (let i = 0; i < 5; i++) await txn.send({ topic: 'committed', value: `${round}` })
        if (round === 1) throw abort
      })
      await transaction.catch((error) => assert.equal(error, abort))
    }
    const share = consumer(t, 'committed')
    const seen: string[] = []
    while (seen.length < 10) for (const { value } of await share.poll({ timeoutMs: 10_000 })) seen.push(value!)
    await share.commit()
    assert.deepEqual(seen, [...Array(5).fill('0'), ...Array(5).fill('2')])
    assert.deepEqual(await share.poll({ timeoutMs: 700 }), [])
  },

  async 'topics come, grow and go while it reads; unsubscribe() leaves, subscribe() comes back'({ admin, topic, consumer, produce }, t) {
    await topic('grows', 3)
    const share = consumer(t, 'grows')
    assert.equal((await share.poll()).length, 3)
    await admin.createPartitions([{ topic: 'grows', totalCount: 2 }])
    await eventually('it has grown', async () => (await admin.describeTopics(['grows'])).get('grows')!.partitions.length === 2)
    await produce('grows', ['a'], 1)
    assert.deepEqual(
      (await share.poll({ timeoutMs: 30_000 })).map(({ partition, value }) => [partition, value]),
      [[1, 'a']],
    )
    await share.unsubscribe()
    assert.deepEqual([share.assignment(), share.subscription()], [[], []])
    assert.equal((await admin.describeShareGroups(['grows'])).get('grows')!.members.length, 0)
    await assert.rejects(share.poll(), { code: 'ILLEGAL_STATE' })
    share.subscribe('grows')
    assert.deepEqual(
      (await share.poll({ timeoutMs: 30_000 })).map(({ value, deliveryCount }) => [value, deliveryCount]),
      [['a', 2]],
    )
  },

  async 'a broker that is killed and comes back is outlived: nothing is lost'({ broker, topic, consumer, produce }, t) {
    await topic('restart', 50)
    const share = consumer(t, 'restart', { maxPollRecords: 10 })
    const seen = new Set<string>()
    const stop = new AbortController()
    const running = share.run({ eachRecord: ({ value }) => void seen.add(value!), signal: stop.signal })
    await until(async () => seen.size >= 50)
    await broker.crash()
    await produce(
      'restart',
      upTo(50).map((i) => String(50 + i)),
    )
    await until(async () => seen.size === 100)
    stop.abort()
    await running
  },
}

test('ShareConsumer against kafka-4.3', async (t) => {
  const stage = await stageOf(t)
  for (const [name, step] of Object.entries(steps)) await t.test(name, { timeout: STEP_TIMEOUT_MS }, (inner) => step(stage, inner))
})
