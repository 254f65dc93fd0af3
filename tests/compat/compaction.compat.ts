import assert from 'node:assert/strict'
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { seededRandom, silentLogger, systemClock } from '@tidelog/core'
import {
  AddPartitionsToTxn,
  type BatchOptions,
  buildBatch,
  CreateTopics,
  codecNames,
  EndTxn,
  FindCoordinator,
  IncrementalAlterConfigs,
  InitProducerId,
  iterateBatches,
  type NewRecord,
  Produce,
  prepareCodec,
  readRecords,
} from '@tidelog/protocol'
import { LogManager, resolveLogConfig, verifyPartition } from '@tidelog/storage'
import { type Call, connectForTest } from '@tidelog/testkit'
import { type BrokerProcess, kafkaTool, startBrokerProcess } from './harness.ts'

const topic = 'compacted'
const DELETE_RETENTION_MS = 200
const config = {
  'cleanup.policy': 'compact',
  'min.cleanable.dirty.ratio': '0',
  'segment.ms': '1000',
  'index.interval.bytes': '100',
  'delete.retention.ms': String(DELETE_RETENTION_MS),
}
/** As long as it stands, Kafka's cleaner leaves the log alone. */
const held = { 'min.compaction.lag.ms': '3600000' }
const free = { 'min.compaction.lag.ms': '0' }

async function retrying<T extends { errorCode: number }>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    const answer = await ask()
    if (answer.errorCode === 0) return answer
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

/** What fills a log of Kafka's: batches of every kind, in segments that close by the time of their records. */
class Writer {
  readonly #call: Call
  /** Ahead of the clock, by which the markers of transactions are stamped: those then never keep a segment open. */
  #timestamp = Date.now() + 60_000
  readonly #sequences = new Map<number, number>()

  constructor(call: Call) {
    this.#call = call
  }

  async setConfig(configs: Record<string, string>): Promise<void> {
    const entries = Object.entries(configs).map(([name, value]) => ({ name, configOperation: 0, value }))
    const resources = [{ resourceType: 2, resourceName: topic, configs: entries }]
    const { responses } = await this.#call(IncrementalAlterConfigs, 1, { resources, validateOnly: false })
    assert.equal(responses[0]?.errorCode, 0, responses[0]?.errorMessage ?? '')
  }

  /** A batch of `key=value`; `key=` is a tombstone. */
  async write(texts: readonly string[], options: BatchOptions & { transactionalId?: string } = {}): Promise<void> {
    const { transactionalId = null, ...batch } = options
    const records = texts.map((text, index): NewRecord => {
      const [key = '', value = ''] = text.split('=')
      return { key: Buffer.from(key), value: value === '' ? null : Buffer.from(value), timestamp: this.#timestamp + index }
    })
    const { producerId } = batch
    let sequence: BatchOptions = {}
    if (producerId !== undefined) {
      sequence = { baseSequence: this.#sequences.get(producerId) ?? 0 }
      this.#sequences.set(producerId, (sequence.baseSequence ?? 0) + texts.length)
    }
    const partitionData = [{ index: 0, records: buildBatch(records, { ...batch, ...sequence }) }]
    const { responses } = await this.#call(Produce, 8, {
      transactionalId,
      acks: -1,
      timeoutMs: 10_000,
      topicData: [{ name: topic, partitionData }],
    })
    assert.equal(responses[0]?.partitionResponses[0]?.errorCode, 0)
  }

  /** The next batch begins a segment. */
  close(): void {
    this.#timestamp += 5000
  }

  async producer(transactionalId: string | null = null): Promise<{ producerId: number; producerEpoch: number }> {
    if (transactionalId !== null) await retrying(() => this.#call(FindCoordinator, 2, { key: transactionalId, keyType: 1 }))
    const { producerId, producerEpoch } = await retrying(() =>
      this.#call(InitProducerId, 3, { transactionalId, transactionTimeoutMs: 60_000 }),
    )
    return { producerId, producerEpoch }
  }

  async transaction(transactionalId: string, committed: boolean, batches: readonly (readonly string[])[]): Promise<void> {
    const producer = await this.producer(transactionalId)
    this.#sequences.set(producer.producerId, 0)
    await retrying(async () => {
      const { resultsByTopicV3AndBelow } = await this.#call(AddPartitionsToTxn, 2, {
        v3AndBelowTransactionalId: transactionalId,
        v3AndBelowProducerId: producer.producerId,
        v3AndBelowProducerEpoch: producer.producerEpoch,
        v3AndBelowTopics: [{ name: topic, partitions: [0] }],
      })
      return { errorCode: resultsByTopicV3AndBelow[0]?.resultsByPartition[0]?.partitionErrorCode ?? 0 }
    })
    for (const [index, texts] of batches.entries()) {
      if (index > 0) this.close()
      await this.write(texts, { ...producer, isTransactional: true, transactionalId })
    }
    await retrying(() => this.#call(EndTxn, 2, { transactionalId, ...producer, committed }))
  }
}

interface Content {
  readonly offsets: readonly number[]
  readonly codec: string | undefined
  readonly kind: string
  readonly producer: readonly number[]
  readonly partitionLeaderEpoch: number
  readonly recordsCount: number
  readonly maxTimestamp: number
  readonly hasHorizon: boolean
  readonly records: readonly string[]
}

/** Everything in the log files of a partition's folder, by segment, and its transaction indexes as hex. */
function contentOf(dir: string): Record<string, readonly (Content | string)[]> {
  const content: Record<string, readonly (Content | string)[]> = {}
  for (const name of readdirSync(dir).sort()) {
    if (!name.endsWith('.log')) continue
    const bytes = readFileSync(join(dir, name))
    content[name] = [...iterateBatches(bytes)].map((batch) => {
      assert.ok(batch.isCrcValid)
      const { baseOffset, lastOffset, codecId, isTransactional, isControl, producerId, producerEpoch, baseSequence, maxTimestamp } = batch
      const { partitionLeaderEpoch, recordsCount, deleteHorizonMs } = batch
      const records = [...readRecords(batch, { maxOutputBytes: 1 << 24 })].map(
        ({ offset, timestamp, key, value }) => `${offset} ${timestamp} ${key?.toString('latin1')}=${value?.toString('latin1')}`,
      )
      return {
        offsets: [baseOffset, lastOffset],
        codec: codecNames[codecId],
        kind: `${isTransactional ? 'transactional ' : ''}${isControl ? 'control' : ''}`,
        producer: [producerId, producerEpoch, baseSequence],
        partitionLeaderEpoch,
        recordsCount,
        maxTimestamp,
        hasHorizon: deleteHorizonMs !== undefined,
        records,
      }
    })
    const transactions = join(dir, name.replace('.log', '.txnindex'))
    if (existsSync(transactions)) content[`${name} aborted`] = [readFileSync(transactions).toString('hex')]
  }
  return content
}

async function compactedByUs(t: TestContext, dataDir: string): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'tidelog-compaction-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  cpSync(join(dataDir, `${topic}-0`), join(dir, `${topic}-0`), { recursive: true })
  const checkpoint = 'cleaner-offset-checkpoint'
  if (existsSync(join(dataDir, checkpoint))) cpSync(join(dataDir, checkpoint), join(dir, checkpoint))
  // As if Kafka had stopped: recovery would make the transaction indexes anew from what compaction has left of the batches, as Kafka's does.
  writeFileSync(join(dir, '.kafka_cleanshutdown'), '')
  const manager = await LogManager.open({
    dirs: [dir],
    clock: systemClock,
    random: seededRandom(1),
    logger: silentLogger,
    configOf: () => resolveLogConfig(new Map(Object.entries(config))),
    cleaner: () => ({
      threads: 1,
      dedupeBufferBytes: 1 << 20,
      loadFactor: 0.9,
      ioBufferBytes: 524_288,
      maxBytesPerSecond: Number.POSITIVE_INFINITY,
      backoffMs: 3_600_000,
    }),
  })
  const log = manager.getLog(topic, 0)!
  log.updateHighWatermark(log.logEndOffset)
  assert.equal(await manager.cleanLogs(), 1)
  await manager.close()
  return dir
}

/** Waits until Kafka has compacted up to where we have. */
async function compactedByKafka(kafka: BrokerProcess, upTo: string): Promise<void> {
  const path = join(kafka.dir, 'cleaner-offset-checkpoint')
  for (let waited = 0; ; waited++) {
    const line =
      existsSync(path) &&
      readFileSync(path, 'utf8')
        .split('\n')
        .find((candidate) => candidate.startsWith(`${topic} 0 `))
    if (line === upTo) return
    assert.ok(waited < 600, `Kafka's cleaner came to ${line}, not to ${upTo}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

test('what compaction leaves of a log, over several rounds, is what Apache Kafka 4.3 leaves of the same log, batch by batch', async (t) => {
  await prepareCodec('zstd')
  const kafka = await startBrokerProcess(t, { 'log.cleaner.backoff.ms': '100', 'auto.create.topics.enable': 'false' }, 'kafka-4.3')
  const call = await connectForTest(t, { host: '127.0.0.1', port: kafka.port })
  const configs = Object.entries({ ...config, ...held }).map(([name, value]) => ({ name, value }))
  const { topics } = await call(CreateTopics, 5, {
    topics: [{ name: topic, numPartitions: 1, replicationFactor: 1, assignments: [], configs }],
    timeoutMs: 30_000,
    validateOnly: false,
  })
  assert.equal(topics[0]?.errorCode, 0)
  const writer = new Writer(call)
  const idle = await writer.producer()
  const busy = await writer.producer()

  const rounds: (() => Promise<void>)[] = [
    async () => {
      await writer.write(['a=1', 'b=1', 'c=1', 'deleted=1'])
      for (const codec of codecNames) await writer.write([`in ${codec}=1`, 'a=2', `only ${codec}=1`], { codec })
      await writer.write(['idle=1', 'idle=2'], idle)
      writer.close()
      await writer.write(['idle=3', 'deleted='])
      await writer.transaction('first', false, [['a=aborted', 'x=aborted'], ['b=aborted']])
      await writer.transaction('second', true, [['b=committed'], ['c=committed', 'd=committed']])
      await writer.write(['busy=1'], busy)
      writer.close()
      for (const codec of codecNames) await writer.write([`in ${codec}=2`], { codec })
      await writer.write(['never=', 'e=1'])
    },
    async () => {
      await writer.write(['e=2', 'f=1'])
      await writer.transaction('first', false, [['e=aborted']])
      await writer.write(['busy=2'], busy)
      writer.close()
      await writer.transaction('second', true, [['d=2']])
    },
    async () => {
      await writer.write(['g=1'])
      await writer.transaction('third', false, [['h=aborted']])
    },
    async () => {
      await writer.write(['g=2', 'idle=4'])
    },
  ]
  const seen = { empty: 0, marked: 0, aborted: 0, markers: [] as number[] }
  for (const [round, write] of rounds.entries()) {
    await writer.setConfig(held)
    await write()
    // What was written last is closed by what follows it.
    writer.close()
    await writer.write([`end ${round}=1`])
    // Horizons of the round before have passed.
    await new Promise((resolve) => setTimeout(resolve, 2 * DELETE_RETENTION_MS))
    const ours = await compactedByUs(t, kafka.dir)
    const [, , upTo] = readFileSync(join(ours, 'cleaner-offset-checkpoint'), 'utf8').split('\n')
    await writer.setConfig(free)
    await compactedByKafka(kafka, upTo!)
    const what = `round ${round}`
    const content = contentOf(join(ours, `${topic}-0`))
    assert.deepEqual(content, contentOf(join(kafka.dir, `${topic}-0`)), what)
    const batches = Object.values(content)
      .flat()
      .filter((batch) => typeof batch !== 'string')
    seen.empty += batches.filter(({ recordsCount }) => recordsCount === 0).length
    seen.marked += batches.filter(({ hasHorizon }) => hasHorizon).length
    seen.aborted += Object.keys(content).filter((name) => name.endsWith('aborted')).length
    seen.markers.push(batches.filter(({ kind }) => kind.endsWith('control')).length)
    assert.deepEqual((await verifyPartition(join(ours, `${topic}-0`))).problems, [], what)
    const logs = readdirSync(join(ours, `${topic}-0`)).filter((name) => /\.(log|index|timeindex)$/.test(name))
    const files = logs.map((name) => join(ours, `${topic}-0`, name)).join(',')
    const dump = await kafkaTool('4.3.0', 'org.apache.kafka.tools.DumpLogSegments', [
      '--files',
      files,
      '--deep-iteration',
      '--print-data-log',
    ])
    assert.equal(dump.code, 0, dump.stderr)
    const complaints = dump.stdout.split('\n').filter((line) => /mismatch|corrupt|exception|isvalid: false/i.test(line))
    assert.deepEqual(complaints, [], what)
  }
  // The comparison had something to compare.
  assert.ok(seen.empty > 0 && seen.marked > 0 && seen.aborted > 0 && Math.max(...seen.markers) > seen.markers.at(-1)!, JSON.stringify(seen))
})
