import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { type Logger, seededRandom, silentLogger } from '@tidelog/core'
import type { FramedConnection } from '@tidelog/net'
import { BatchBuilder, Fetch, iterateBatches, ListOffsets, Produce } from '@tidelog/protocol'
import { type FileSystem, nodeFileSystem } from '@tidelog/storage'
import {
  alterConfig,
  batchOf,
  connectTo,
  createTopic,
  ManualClock,
  recordsIn,
  startTestBroker,
  type TestRecord,
  temporaryDirectory,
  trackedPaths,
  until,
} from '@tidelog/testkit'
import type { Broker } from './broker.ts'

export const RETENTION_CHECK_MS = 1000
export const CLEANER_BACKOFF_MS = 1000
/** Upkeep of the logs begins so long after the start. */
const FIRST_UPKEEP_MS = 30_000

/** A broker in this process whose time stands still until a test moves it, and which remembers what it asked of the disk. */
export class Bench {
  readonly clock = new ManualClock()
  readonly dir: string
  readonly broker: Broker
  readonly connection: FramedConnection
  /** Paths that were forced to disk, and reads with their sizes, in order. */
  readonly synced: string[]
  readonly reads: { readonly path: string; readonly bytes: number }[]
  /** Every compaction that has ended, as the broker's log tells it. */
  readonly compactions: { readonly partition: unknown; readonly endOffset: unknown }[]

  private constructor(
    dir: string,
    clock: ManualClock,
    broker: Broker,
    connection: FramedConnection,
    disk: Pick<Bench, 'synced' | 'reads' | 'compactions'>,
  ) {
    this.dir = dir
    this.clock = clock
    this.broker = broker
    this.connection = connection
    this.synced = disk.synced
    this.reads = disk.reads
    this.compactions = disk.compactions
  }

  static async start(t: TestContext, config: Record<string, string> = {}): Promise<Bench> {
    const dir = await temporaryDirectory(t)
    const clock = new ManualClock()
    const disk = {
      synced: [] as string[],
      reads: [] as { path: string; bytes: number }[],
      compactions: [] as { partition: unknown; endOffset: unknown }[],
    }
    const { fs: inner, pathOf } = trackedPaths(nodeFileSystem)
    const fs: FileSystem = {
      ...inner,
      async sync(fd) {
        disk.synced.push(pathOf(fd))
      },
      syncDirectory: async () => {},
      read(fd, into, position) {
        disk.reads.push({ path: pathOf(fd), bytes: into.length })
        return inner.read(fd, into, position)
      },
    }
    const logger: Logger = {
      ...silentLogger,
      child: () => logger,
      info: (message, { partition, endOffset } = {}) =>
        void (message === 'Compacted a log' && disk.compactions.push({ partition, endOffset })),
    }
    const settings = {
      'node.id': '1',
      'log.dirs': dir,
      'log.retention.check.interval.ms': String(RETENTION_CHECK_MS),
      'log.cleaner.backoff.ms': String(CLEANER_BACKOFF_MS),
      'connections.max.idle.ms': '-1',
      ...config,
    }
    const broker = await startTestBroker({ config: settings, clock, fs, random: seededRandom(7), logger })
    t.after(() => broker.close())
    const bench = new Bench(dir, clock, broker, await connectTo(t, broker), disk)
    clock.advance(FIRST_UPKEEP_MS)
    return bench
  }

  createTopic(name: string, configs: Record<string, string> = {}): Promise<string> {
    return createTopic(this.connection, name, { configs })
  }

  async alter(resource: { broker: string } | { topic: string }, name: string, value: string | null): Promise<void> {
    const { errorCode, errorMessage } = await alterConfig(this.connection, resource, name, value)
    assert.equal(errorCode, 0, `${name}=${value}: ${errorMessage}`)
  }

  /** Sends one batch to partition 0. */
  async produce(topic: string, records: readonly TestRecord[] | Buffer): Promise<{ errorCode: number; logAppendTimeMs: number }> {
    const bytes = Buffer.isBuffer(records) ? records : batchOf(records.map((record) => ({ timestamp: this.clock.now(), ...record })))
    const topicData = [{ name: topic, partitionData: [{ index: 0, records: bytes }] }]
    const { responses } = await this.connection.send(Produce, 9, { transactionalId: null, acks: -1, timeoutMs: 5000, topicData })
    return responses[0]!.partitionResponses[0]!
  }

  /** As `produce`, which must succeed. */
  async append(topic: string, ...records: TestRecord[]): Promise<void> {
    const { errorCode } = await this.produce(topic, records)
    assert.equal(errorCode, 0)
  }

  /** Appends a batch of an idempotent producer. */
  async appendAsProducer(topic: string, producerId: number): Promise<void> {
    const builder = new BatchBuilder({ codec: 'none', producerId, producerEpoch: 0, baseSequence: 0 })
    builder.append({ key: null, value: Buffer.from('v'), timestamp: this.clock.now() })
    assert.equal((await this.produce(topic, builder.build())).errorCode, 0)
  }

  async errorOf(topic: string, ...records: TestRecord[]): Promise<number> {
    return (await this.produce(topic, records)).errorCode
  }

  /** The bytes from an offset on, as they lie on disk. */
  async #fetch(topic: string, fetchOffset: number): Promise<Buffer> {
    const partitions = [{ partition: 0, fetchOffset, partitionMaxBytes: 2 ** 24 }]
    const request = {
      replicaId: -1,
      maxWaitMs: 0,
      minBytes: 0,
      maxBytes: 2 ** 24,
      isolationLevel: 0 as const,
      topics: [{ topic, partitions }],
    }
    const { responses } = await this.connection.send(Fetch, 12, request)
    return responses[0]!.partitions[0]!.records ?? Buffer.alloc(0)
  }

  async records(topic: string, from = 0): Promise<{ offset: number; key: string | null }[]> {
    return recordsIn(await this.#fetch(topic, from)).filter(({ offset }) => offset >= from)
  }

  async batches(topic: string, from = 0): Promise<{ codecId: number; sizeBytes: number }[]> {
    return [...iterateBatches(await this.#fetch(topic, from))].map((batch) => {
      assert.ok(batch.magic === 2)
      return { codecId: batch.codecId, sizeBytes: batch.sizeBytes }
    })
  }

  /** @param timestamp -1: the end, -2: the start. */
  async offset(topic: string, timestamp: -1 | -2): Promise<number> {
    const partitions = [{ partitionIndex: 0, timestamp }]
    const { topics } = await this.connection.send(ListOffsets, 5, {
      replicaId: -1,
      isolationLevel: 0,
      topics: [{ name: topic, partitions }],
    })
    return topics[0]!.partitions[0]!.offset
  }

  /** Names of the files of partition 0 that end like this. */
  async files(topic: string, ending: string): Promise<string[]> {
    return (await readdir(join(this.dir, `${topic}-0`))).filter((name) => name.endsWith(ending)).sort()
  }

  folders(): Promise<string[]> {
    return readdir(this.dir)
  }

  async segments(topic: string): Promise<number> {
    return (await this.files(topic, '.log')).length
  }

  /** How often the log of partition 0 was forced to disk. */
  syncs(topic: string): number {
    return this.synced.filter((path) => path.includes(`/${topic}-0/`) && path.endsWith('.log')).length
  }

  /** Up to where partition 0 has been compacted; 0 when it has not. */
  async cleanedUpTo(topic: string): Promise<number> {
    const text = await readFile(join(this.dir, 'cleaner-offset-checkpoint'), 'utf8').catch(() => '')
    return Number(new RegExp(`^${topic} 0 (\\d+)$`, 'm').exec(text)?.[1] ?? 0)
  }

  /** Moves the time, and lets what falls due begin. */
  async pass(ms: number): Promise<void> {
    this.clock.advance(ms)
    await this.settle()
  }

  /** A while in which anything that has begun is done: requests that take their turn with it. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 5; turn++) {
      await this.offset('__settle', -1).catch(() => {})
      await new Promise(setImmediate)
    }
  }

  /** Moves the time by `stepMs` again and again until it holds. */
  async passUntil(stepMs: number, holds: () => Promise<boolean>): Promise<void> {
    await until(async () => {
      if (await holds()) return true
      await this.pass(stepMs)
      return false
    })
  }
}
