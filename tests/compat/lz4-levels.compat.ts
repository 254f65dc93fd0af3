/** Batches that we compress with LZ4, at any level, are read by Java, librdkafka and lz4 itself, and taken apart by Kafka's own broker. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { seededRandom } from '@tidelog/core'
import { codecById, iterateBatches } from '@tidelog/protocol'
import { Admin, Producer, string } from 'tidelog'
import { type BrokerKind, type BrokerProcess, debianCommand, kafkaTool, startBrokerProcess, succeed } from './harness.ts'

const levels = [1, 9, 12, 17]
const COUNT = 400
/** Enough for batches of several blocks, some of which are stored as they are. */
const BATCH_BYTES = 300_000

const random = seededRandom(11)
const noise = (): string =>
  Buffer.from(random.bytes(600))
    .toString('latin1')
    .replace(/[^ -~]/g, '')
const values = Array.from({ length: COUNT }, (_, id) =>
  JSON.stringify({ id, city: `city ${id % 13}`, at: id * 7919, note: 'abc'.repeat(id % 90), noise: id % 3 === 0 ? noise() : '' }),
)
/** One value that no block of LZ4 makes smaller. */
const incompressible = Buffer.from(random.bytes(200_000)).toString('base64url')
const written = [...values, incompressible]
/** The same for all, so that what is written at one level has one size. */
const timestamp = Date.now()

async function writeAt(broker: BrokerProcess, topic: string, level: number): Promise<void> {
  const options = { bootstrapServers: broker.bootstrap, valueSerializer: string, batchSize: BATCH_BYTES } as const
  const producer = new Producer<string, string>({ ...options, compressionType: 'lz4', compressionLz4Level: level })
  await producer.sendMany(written.map((value) => ({ topic, partition: 0, value, timestamp })))
  await producer.close()
}

/** What Kafka's console consumer prints, a line a record. */
async function readByJava(broker: BrokerProcess, topic: string): Promise<string[]> {
  const from = ['--bootstrap-server', broker.bootstrap, '--topic', topic, '--from-beginning']
  const args = [...from, '--max-messages', String(written.length), '--timeout-ms', '60000']
  const { code, stdout, stderr } = await kafkaTool('4.3.0', 'org.apache.kafka.tools.consumer.ConsoleConsumer', args, { timeoutMs: 120_000 })
  assert.equal(code, 0, stderr)
  return stdout.trimEnd().split('\n')
}

async function readByLibrdkafka(broker: BrokerProcess, topic: string): Promise<string[]> {
  const kcat = await debianCommand('kcat')
  const { stdout } = await succeed(kcat, ['-b', broker.bootstrap, '-C', '-t', topic, '-o', 'beginning', '-e', '-q'])
  return stdout.trimEnd().split('\n')
}

/** The LZ4 frames of a topic's batches, from the disk. */
async function framesOf(broker: BrokerProcess, topic: string): Promise<Buffer[]> {
  const dir = join(broker.dir, `${topic}-0`)
  const logs = (await readdir(dir)).filter((name) => name.endsWith('.log'))
  const batches = (await Promise.all(logs.map((name) => readFile(join(dir, name))))).flatMap((bytes) => [...iterateBatches(bytes)])
  for (const { codecId } of batches) assert.equal(codecById(codecId), 'lz4')
  return batches.map(({ payload }) => payload)
}

async function assertReadByLz4(frames: readonly Buffer[], dir: string): Promise<void> {
  const lz4 = await debianCommand('lz4')
  for (const [index, frame] of frames.entries()) {
    const file = join(dir, `frame-${index}.lz4`)
    writeFileSync(file, frame)
    await succeed(lz4, ['-t', file])
  }
}

for (const kind of ['kafka-4.3', 'tidelog'] satisfies BrokerKind[]) {
  test(`levels 1, 9, 12 and 17 at ${kind}: read by Java, librdkafka and lz4, and recompressed by the broker`, async (t) => {
    const broker = await startBrokerProcess(t, {}, kind)
    const admin = new Admin({ bootstrapServers: broker.bootstrap })
    t.after(() => admin.close())
    const sizes: number[] = []
    for (const level of levels) {
      const [kept, recompressed] = [`kept-${level}`, `recompressed-${level}`]
      await admin.createTopics([
        { topic: kept, numPartitions: 1 },
        // The broker has to take every batch apart for it.
        { topic: recompressed, numPartitions: 1, configs: { 'compression.type': 'zstd' } },
      ])
      for (const topic of [kept, recompressed]) {
        await writeAt(broker, topic, level)
        assert.deepEqual(await readByJava(broker, topic), written, `${topic}, Java`)
        assert.deepEqual(await readByLibrdkafka(broker, topic), written, `${topic}, librdkafka`)
      }
      const frames = await framesOf(broker, kept)
      assert.ok(frames.some((frame) => frame.length > 65_536 * 2))
      await assertReadByLz4(frames, broker.dir)
      sizes.push(frames.reduce((sum, { length }) => sum + length, 0))
    }
    const [one, nine, twelve, seventeen] = sizes
    assert.ok(one! < nine! && twelve! < one! && seventeen === twelve, sizes.join())
    for (const [level, reason] of [
      ['0', 'Value must be at least 1'],
      ['18', 'Value must be no more than 17'],
      ['high', 'Not a number of type INT'],
    ]) {
      await assert.rejects(
        admin.createTopics([{ topic: 'refused', numPartitions: 1, configs: { 'compression.lz4.level': level! } }]),
        (error: Error) => error.message.includes(`Invalid value ${level} for configuration compression.lz4.level: ${reason}`),
      )
    }
  })
}

test('what the broker recompresses at a level of the topic is read by Java, librdkafka and lz4, and found sound by kafka-dump-log', async (t) => {
  const broker = await startBrokerProcess(t, {}, 'tidelog')
  const admin = new Admin({ bootstrapServers: broker.bootstrap })
  t.after(() => admin.close())
  const sizes: number[] = []
  for (const level of levels) {
    const topic = `level-${level}`
    await admin.createTopics([{ topic, numPartitions: 1, configs: { 'compression.type': 'lz4', 'compression.lz4.level': String(level) } }])
    const producer = new Producer<string, string>({
      bootstrapServers: broker.bootstrap,
      valueSerializer: string,
      batchSize: BATCH_BYTES,
      compressionType: 'gzip',
    })
    await producer.sendMany(written.map((value) => ({ topic, partition: 0, value, timestamp })))
    await producer.close()
    assert.deepEqual(await readByJava(broker, topic), written, 'Java')
    assert.deepEqual(await readByLibrdkafka(broker, topic), written, 'librdkafka')
    const frames = await framesOf(broker, topic)
    await assertReadByLz4(frames, broker.dir)
    sizes.push(frames.reduce((sum, { length }) => sum + length, 0))
    const segment = join(broker.dir, `${topic}-0`, '00000000000000000000.log')
    const dumped = await kafkaTool('4.3.0', 'org.apache.kafka.tools.DumpLogSegments', ['--deep-iteration', '--files', segment])
    assert.equal(dumped.code, 0, dumped.stderr)
    assert.match(dumped.stdout, /compresscodec: LZ4|compresscodec: lz4/)
    assert.doesNotMatch(dumped.stdout, /isvalid: false/)
  }
  const [one, nine, twelve, seventeen] = sizes
  assert.ok(one! < nine! && twelve! < one! && seventeen === twelve, sizes.join())
})
