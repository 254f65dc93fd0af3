import assert from 'node:assert/strict'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { DeleteRecords } from '@tidelog/protocol'
import { logConfig } from '@tidelog/storage'
import { until } from '@tidelog/testkit'
import { Bench, CLEANER_BACKOFF_MS, RETENTION_CHECK_MS } from './dynamic-effects-harness.test.ts'

type TopicConfig = (typeof logConfig.names)[number]

/** One way to see that a topic's configuration holds: what a client, or the disk, sees before it is set and after. */
interface Effect {
  readonly value: string
  /** What the topic is created with. */
  readonly topic?: Readonly<Record<string, string>>
  /** @param set Gives the topic the value: as its own, or as the default of all brokers. */
  readonly shows: (bench: Bench, topic: string, set: () => Promise<void>) => Promise<void>
}

const text = (bytes: number): string =>
  Array.from({ length: Math.ceil(bytes / 8) }, (_, index) =>
    ((index * 2_654_435_761) >>> 4).toString(16).slice(0, 5).padStart(8, ' '),
  ).join('')
const sizeOf = async (bench: Bench, topic: string): Promise<number> => {
  const at = await bench.offset(topic, -1)
  await bench.append(topic, { value: text(20_000) })
  return (await bench.batches(topic, at))[0]!.sizeBytes
}
const halfMegabyte = { value: Buffer.alloc(600_000) }
const compacted = { 'cleanup.policy': 'compact', 'segment.ms': '10', 'min.cleanable.dirty.ratio': '0' }

/** Appends a record for the key, in a segment that the next append ends. */
async function put(bench: Bench, topic: string, key: string, value: string | null = 'v'): Promise<void> {
  await bench.append(topic, { key: Buffer.from(key), value })
  bench.clock.advance(20)
}

/** Whether a batch of this codec is taken for larger, or smaller, at another level. */
const level = (codec: string, value: string): Effect => ({
  value,
  topic: { 'compression.type': codec },
  async shows(bench, topic, set) {
    const before = await sizeOf(bench, topic)
    await set()
    assert.notEqual(await sizeOf(bench, topic), before)
  },
})

/** A record that is taken before and refused after, with this error. */
const refuses = (
  value: string,
  errorCode: number,
  record: (bench: Bench) => { key?: Buffer | null; value?: string; timestamp?: number },
): Effect => ({
  value,
  async shows(bench, topic, set) {
    assert.equal(await bench.errorOf(topic, record(bench)), 0)
    await set()
    assert.equal(await bench.errorOf(topic, record(bench)), errorCode)
  },
})

const effects: Partial<Record<TopicConfig, Effect>> = {
  'cleanup.policy': refuses('compact', 87, () => ({ key: null })),
  'compression.gzip.level': level('gzip', '1'),
  'compression.lz4.level': level('lz4', '12'),
  'compression.zstd.level': level('zstd', '-50'),
  'compression.type': {
    value: 'gzip',
    async shows(bench, topic, set) {
      await bench.append(topic, {})
      await set()
      await bench.append(topic, {})
      assert.deepEqual(
        (await bench.batches(topic)).map(({ codecId }) => codecId),
        [0, 1],
      )
    },
  },
  'delete.retention.ms': {
    value: '5',
    topic: compacted,
    async shows(bench, topic, set) {
      // The horizon of a tombstone is chosen by the first compaction that meets it; one behind it leaves it out.
      const isGone = async (key: string): Promise<boolean> => {
        const at = await bench.offset(topic, -1)
        await put(bench, topic, key, null)
        for (let round = 0; round < 2; round++) {
          await put(bench, topic, `${key} ${round}`)
          const end = (await bench.offset(topic, -1)) - 1
          await bench.passUntil(CLEANER_BACKOFF_MS, async () => (await bench.cleanedUpTo(topic)) >= end)
        }
        return (await bench.records(topic, at))[0]?.offset !== at
      }
      assert.equal(await isGone('kept'), false)
      await set()
      assert.equal(await isGone('dropped'), true)
    },
  },
  'file.delete.delay.ms': {
    value: '10',
    topic: { 'segment.ms': '10' },
    async shows(bench, topic, set) {
      const remaining = async (): Promise<number> => (await bench.files(topic, '.deleted')).length
      const deleteSegments = async (): Promise<void> => {
        for (let count = 0; count < 3; count++) await put(bench, topic, 'k')
        const partitions = [{ partitionIndex: 0, offset: await bench.offset(topic, -1) }]
        await bench.connection.send(DeleteRecords, 2, { topics: [{ name: topic, partitions }], timeoutMs: 5000 })
      }
      const gone = async (before: number): Promise<boolean> => (await bench.segments(topic)) === 1 && (await remaining()) <= before
      await deleteSegments()
      await bench.passUntil(RETENTION_CHECK_MS, async () => (await bench.segments(topic)) === 1)
      await bench.pass(30)
      const before = await remaining()
      assert.ok(before > 0)
      await set()
      await deleteSegments()
      const fromMs = bench.clock.monotonic()
      await bench.passUntil(RETENTION_CHECK_MS, () => gone(before))
      assert.ok(bench.clock.monotonic() - fromMs < 30_000)
    },
  },
  'flush.messages': {
    value: '1',
    async shows(bench, topic, set) {
      await bench.append(topic, {})
      assert.equal(bench.syncs(topic), 0)
      await set()
      await bench.append(topic, {})
      assert.equal(bench.syncs(topic), 1)
    },
  },
  'flush.ms': {
    value: '500',
    async shows(bench, topic, set) {
      await bench.append(topic, {})
      await bench.pass(500)
      assert.equal(bench.syncs(topic), 0)
      await set()
      await bench.append(topic, {})
      await bench.pass(500)
      await until(() => bench.syncs(topic) > 0)
    },
  },
  'index.interval.bytes': {
    value: '1',
    topic: { 'segment.ms': '10' },
    async shows(bench, topic, set) {
      const entries = async (): Promise<number> => {
        const [name] = (await bench.files(topic, '.log')).slice(-1)
        for (let count = 0; count < 4; count++) await bench.append(topic, { value: 'x'.repeat(100) })
        bench.clock.advance(20)
        await bench.append(topic, {}) // begins the next segment
        const path = join(bench.dir, `${topic}-0`, name!.replace('.log', '.index'))
        return (await stat(path)).size / 8
      }
      await bench.append(topic, {})
      assert.equal(await entries(), 0)
      await set()
      assert.ok((await entries()) >= 3)
    },
  },
  'max.compaction.lag.ms': {
    value: '5000',
    topic: { ...compacted, 'min.cleanable.dirty.ratio': '1' },
    async shows(bench, topic, set) {
      for (const key of ['a', 'a', 'b']) await put(bench, topic, key)
      await bench.pass(6000)
      assert.equal(await bench.cleanedUpTo(topic), 0)
      await set()
      await bench.passUntil(CLEANER_BACKOFF_MS, async () => (await bench.cleanedUpTo(topic)) > 0)
    },
  },
  'max.message.bytes': refuses('1000', 10, () => ({ value: 'x'.repeat(2000) })),
  'message.timestamp.after.max.ms': refuses('1000', 32, ({ clock }) => ({ timestamp: clock.now() + 60_000 })),
  'message.timestamp.before.max.ms': refuses('1000', 32, ({ clock }) => ({ timestamp: clock.now() - 60_000 })),
  'message.timestamp.type': {
    value: 'LogAppendTime',
    async shows(bench, topic, set) {
      assert.equal((await bench.produce(topic, [{}])).logAppendTimeMs, -1)
      await set()
      assert.equal((await bench.produce(topic, [{}])).logAppendTimeMs, bench.clock.now())
    },
  },
  'min.cleanable.dirty.ratio': {
    value: '0',
    topic: { 'cleanup.policy': 'compact', 'segment.ms': '10' },
    async shows(bench, topic, set) {
      for (let key = 0; key < 20; key++) await put(bench, topic, `${key}`)
      await bench.passUntil(CLEANER_BACKOFF_MS, async () => (await bench.cleanedUpTo(topic)) > 0)
      for (const key of ['0', '1', '2']) await put(bench, topic, key)
      const before = await bench.cleanedUpTo(topic)
      await bench.pass(2 * CLEANER_BACKOFF_MS)
      assert.equal(await bench.cleanedUpTo(topic), before)
      await set()
      await bench.passUntil(CLEANER_BACKOFF_MS, async () => (await bench.cleanedUpTo(topic)) > before)
    },
  },
  'min.compaction.lag.ms': {
    value: '3600000',
    topic: compacted,
    async shows(bench, topic, set) {
      for (const key of ['a', 'a', 'b']) await put(bench, topic, key)
      await bench.passUntil(CLEANER_BACKOFF_MS, async () => (await bench.cleanedUpTo(topic)) > 0)
      await set()
      for (const key of ['a', 'a', 'b']) await put(bench, topic, key)
      const before = await bench.cleanedUpTo(topic)
      await bench.pass(2 * CLEANER_BACKOFF_MS)
      assert.equal(await bench.cleanedUpTo(topic), before)
      await bench.passUntil(3_600_000, async () => (await bench.cleanedUpTo(topic)) > before)
    },
  },
  'retention.bytes': {
    value: '600000',
    topic: { 'segment.bytes': '1048576' },
    async shows(bench, topic, set) {
      for (let count = 0; count < 4; count++) await bench.append(topic, halfMegabyte)
      await bench.pass(2 * RETENTION_CHECK_MS)
      assert.equal(await bench.offset(topic, -2), 0)
      await set()
      await bench.passUntil(RETENTION_CHECK_MS, async () => (await bench.offset(topic, -2)) > 0)
    },
  },
  'retention.ms': {
    value: '10000',
    async shows(bench, topic, set) {
      await bench.append(topic, {})
      await bench.pass(20_000)
      assert.equal(await bench.offset(topic, -2), 0)
      await set()
      await bench.passUntil(RETENTION_CHECK_MS, async () => (await bench.offset(topic, -2)) === 1)
    },
  },
  'segment.bytes': {
    value: '1048576',
    async shows(bench, topic, set) {
      for (let count = 0; count < 2; count++) await bench.append(topic, halfMegabyte)
      assert.equal(await bench.segments(topic), 1)
      await set()
      await bench.append(topic, halfMegabyte)
      assert.equal(await bench.segments(topic), 2)
    },
  },
  'segment.index.bytes': {
    value: '16',
    topic: { 'segment.ms': '1000', 'index.interval.bytes': '1' },
    async shows(bench, topic, set) {
      const more = async (): Promise<number> => {
        const before = await bench.segments(topic)
        for (let count = 0; count < 6; count++) await bench.append(topic, { value: 'x'.repeat(50) })
        return (await bench.segments(topic)) - before
      }
      assert.equal(await more(), 0)
      await set()
      bench.clock.advance(2000)
      await bench.append(topic, {}) // the next segment has the smaller index
      assert.ok((await more()) >= 2)
    },
  },
  'segment.jitter.ms': {
    value: '1000000',
    topic: { 'segment.ms': '1000000' },
    async shows(bench, topic, set) {
      const rollsEarly = async (): Promise<boolean> => {
        const before = await bench.segments(topic)
        bench.clock.advance(999_999)
        await bench.append(topic, {})
        return (await bench.segments(topic)) > before
      }
      await bench.append(topic, {})
      assert.equal(await rollsEarly(), false)
      await set()
      bench.clock.advance(2)
      await bench.append(topic, {}) // the next segment has a time of its own
      assert.equal(await rollsEarly(), true)
    },
  },
  'segment.ms': {
    value: '1000',
    async shows(bench, topic, set) {
      for (let count = 0; count < 2; count++) {
        await bench.append(topic, {})
        bench.clock.advance(2000)
      }
      assert.equal(await bench.segments(topic), 1)
      await set()
      await bench.append(topic, {})
      assert.equal(await bench.segments(topic), 2)
    },
  },
}

/** Where the effect of others is shown. */
const shownElsewhere: Partial<Record<TopicConfig, string>> = {
  'min.insync.replicas': 'broker/replicas/replica-manager.test.ts: one replica is enough where there is no other, as in Kafka',
  'remote.storage.enable': 'broker/config/config-service.test.ts: true is refused',
  'unclean.leader.election.enable': 'metadata/controller/controller.test.ts: it takes a second broker',
}

test('it is known of every topic configuration that has an effect where it is shown', () => {
  const rows = [...logConfig.rows].filter(([, { unused }]) => unused === undefined).map(([name]) => name)
  assert.deepEqual(rows.sort(), [...Object.keys(effects), ...Object.keys(shownElsewhere)].sort())
})

for (const [scope, setOf] of [
  ["a topic's own", (bench, topic, name, value) => bench.alter({ topic }, name, value)],
  ['the default of all brokers', (bench, _topic, name, value) => bench.alter({ broker: '' }, logConfig.row(name)!.brokerNames[0]!, value)],
] as const satisfies [string, (bench: Bench, topic: string, name: TopicConfig, value: string | null) => Promise<void>][]) {
  test(`every topic configuration has its effect at once when it is set as ${scope}`, async (t) => {
    const bench = await Bench.start(t)
    for (const [name, { value, topic: config = {}, shows }] of Object.entries(effects) as [TopicConfig, Effect][]) {
      await t.test(name, async () => {
        const topic = `of-${name}`
        await bench.createTopic(topic, config)
        await shows(bench, topic, () => setOf(bench, topic, name, value))
        if (scope !== "a topic's own") await setOf(bench, topic, name, null)
      })
    }
  })
}
