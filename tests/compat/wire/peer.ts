/** One broker under a scenario: sends what the scenario says, and remembers each answer under the scenario's words for it. */
import { type ConnectionError, connect, type FramedConnection } from '@tidelog/net'
import {
  type Api,
  ApiVersions,
  CreateTopics,
  Fetch,
  ListOffsets,
  Metadata,
  Produce,
  type RequestInput,
  type ResponseOf,
} from '@tidelog/protocol'
import { Names, normalForm } from './normal-form.ts'

/** An inclusive range of versions. */
export type Range = readonly [number, number]

const REQUEST_TIMEOUT_MS = 15_000
const FIRST_PRODUCE_WITH_IDS = 13
const FIRST_FETCH_WITH_IDS = 13
const READY_WITHIN_MS = 15_000

export interface FetchWish {
  readonly offset?: number
  readonly maxBytes?: number
  readonly leaderEpoch?: number
  readonly lastFetchedEpoch?: number
}

export class Peer {
  /** By label, in order. */
  readonly seen = new Map<string, unknown>()
  readonly names = new Names()
  readonly #port: number
  readonly #ranges: ReadonlyMap<number, Range>
  readonly #topicIds = new Map<string, string>()
  #connection: FramedConnection | undefined

  /** @param ranges Versions that the scenarios go through, by API key. */
  constructor(port: number, ranges: ReadonlyMap<number, Range>) {
    this.#port = port
    this.#ranges = ranges
  }

  versions(api: Api): number[] {
    const range = this.#ranges.get(api.key)
    if (range === undefined) return []
    return Array.from({ length: range[1] - range[0] + 1 }, (_, index) => range[0] + index)
  }

  newest(api: Api): number {
    return this.versions(api).at(-1)!
  }

  /** Remembers something that is not an answer. */
  note(label: string, value: unknown): void {
    if (this.seen.has(label)) throw new Error(`two steps are called ${label}`)
    this.seen.set(label, normalForm(value, this.names))
  }

  /** Sends and remembers the answer, or that there is none; undefined when the broker closed the connection. */
  async see<A extends Api>(label: string, api: A, version: number, request: RequestInput<A>): Promise<ResponseOf<A> | undefined> {
    try {
      const response = await (await this.#connected()).send(api, version, request)
      this.note(label, response)
      return response
    } catch (error) {
      this.note(label, asClosed(error))
      return undefined
    }
  }

  /** As `see`, and whether the answer took as long as a request that waits for `waitMs`. */
  async seeTimed<A extends Api>(label: string, api: A, version: number, request: RequestInput<A>, waitMs: number): Promise<void> {
    const startMs = performance.now()
    await this.see(label, api, version, request)
    this.note(`${label}: waits`, performance.now() - startMs >= waitMs * 0.9)
  }

  /** Sends something that gets no answer, and remembers whether the connection outlives it. */
  async seeNoAnswer<A extends Api>(label: string, api: A, version: number, request: RequestInput<A>): Promise<void> {
    try {
      const connection = await this.#connected()
      await connection.sendNoResponse(api, version, request)
      await connection.send(ApiVersions, 0, {})
      this.note(label, 'the connection lives on')
    } catch (error) {
      this.note(label, asClosed(error))
    }
  }

  /** For preparations: an answer is required. */
  async call<A extends Api>(api: A, version: number, request: RequestInput<A>): Promise<ResponseOf<A>> {
    return (await this.#connected()).send(api, version, request)
  }

  /** Creates a topic and waits until its partitions are led. */
  async topic(
    name: string,
    { partitions = 1, configs = {} }: { partitions?: number; configs?: Record<string, string> } = {},
  ): Promise<void> {
    const { topics } = await this.call(CreateTopics, 7, {
      topics: [
        {
          name,
          numPartitions: partitions,
          replicationFactor: 1,
          assignments: [],
          configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
        },
      ],
      timeoutMs: 10_000,
    })
    const { errorCode, errorMessage, topicId } = topics[0]!
    if (errorCode !== 0) throw new Error(`${name}: ${errorCode} ${errorMessage}`)
    this.#topicIds.set(name, topicId)
    this.names.set('topic id', topicId, `id of ${name}`)
    await this.ready(name, partitions)
  }

  /** Waits until each partition has a leader that answers. */
  async ready(name: string, partitions: number): Promise<void> {
    const deadline = performance.now() + READY_WITHIN_MS
    const wanted = Array.from({ length: partitions }, (_, partitionIndex) => ({ partitionIndex, timestamp: -1 }))
    for (;;) {
      const { topics } = await this.call(Metadata, 9, { topics: [{ name }], allowAutoTopicCreation: false })
      const led = topics[0]!.partitions.filter(({ errorCode, leaderId }) => errorCode === 0 && leaderId >= 0).length
      if (led === partitions) {
        const offsets = await this.call(ListOffsets, 5, { replicaId: -1, isolationLevel: 0, topics: [{ name, partitions: wanted }] })
        if (offsets.topics[0]!.partitions.every(({ errorCode }) => errorCode === 0)) return
      }
      if (performance.now() > deadline) throw new Error(`${name} has no leaders`)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  /** Names that were never made get an id that no topic has. */
  idOf(topic: string): string {
    return this.#topicIds.get(topic) ?? 'bm8tdG9waWMtd2l0aC1pdA'
  }

  produceRequest(
    version: number,
    rows: readonly (readonly [topic: string, partition: number, records: Uint8Array | null])[],
    options: { acks?: number; transactionalId?: string | null; timeoutMs?: number } = {},
  ): RequestInput<typeof Produce> {
    const { acks = -1, transactionalId = null, timeoutMs = 5000 } = options
    return {
      ...(version >= 3 ? { transactionalId } : {}),
      acks,
      timeoutMs,
      topicData: byTopic(rows).map(([name, ofTopic]) => ({
        ...(version < FIRST_PRODUCE_WITH_IDS ? { name } : { topicId: this.idOf(name) }),
        partitionData: ofTopic.map(([, index, records]) => ({ index, records })),
      })),
    }
  }

  /** Appends to partition 0 and remembers the answer. */
  produce(
    label: string,
    topic: string,
    records: Uint8Array | null,
    options: { version?: number; acks?: number; transactionalId?: string | null } = {},
  ): Promise<ResponseOf<typeof Produce> | undefined> {
    const version = options.version ?? this.newest(Produce)
    return this.see(label, Produce, version, this.produceRequest(version, [[topic, 0, records]], options))
  }

  /** Appends to partition 0; it must be taken. */
  async append(topic: string, records: Uint8Array, partition = 0): Promise<void> {
    const { responses } = await this.call(Produce, 9, this.produceRequest(9, [[topic, partition, records]]))
    const { errorCode, errorMessage } = responses[0]!.partitionResponses[0]!
    if (errorCode !== 0) throw new Error(`append to ${topic}-${partition}: ${errorCode} ${errorMessage}`)
  }

  fetchTopics(
    version: number,
    rows: readonly (readonly [topic: string, partition: number, wish?: FetchWish])[],
  ): RequestInput<typeof Fetch>['topics'] {
    return byTopic(rows).map(([topic, ofTopic]) => ({
      ...(version < FIRST_FETCH_WITH_IDS ? { topic } : { topicId: this.idOf(topic) }),
      partitions: ofTopic.map(([, partition, { offset = 0, maxBytes = 2 ** 20, leaderEpoch = -1, lastFetchedEpoch = -1 } = {}]) => ({
        partition,
        fetchOffset: offset,
        partitionMaxBytes: maxBytes,
        ...(version >= 9 ? { currentLeaderEpoch: leaderEpoch } : {}),
        ...(version >= 12 ? { lastFetchedEpoch } : {}),
      })),
    }))
  }

  fetchRequest(
    version: number,
    rows: readonly (readonly [topic: string, partition: number, wish?: FetchWish])[],
    options: Partial<RequestInput<typeof Fetch>> = {},
  ): RequestInput<typeof Fetch> {
    return {
      replicaId: -1,
      maxWaitMs: 0,
      minBytes: 0,
      ...(version >= 3 ? { maxBytes: 2 ** 24 } : {}),
      topics: this.fetchTopics(version, rows),
      ...options,
    }
  }

  /** Reads partition 0 from its start, with the newest version that both brokers of a comparison know. */
  stored(label: string, topic: string, offset = 0): Promise<unknown> {
    return this.see(label, Fetch, 12, this.fetchRequest(12, [[topic, 0, { offset }]]))
  }

  close(): void {
    this.#connection?.close()
  }

  async #connected(): Promise<FramedConnection> {
    if (this.#connection === undefined || this.#connection.closed) {
      this.#connection = await connect({ host: '127.0.0.1', port: this.#port, clientId: 'parity', requestTimeoutMs: REQUEST_TIMEOUT_MS })
    }
    return this.#connection
  }
}

function byTopic<Row extends readonly [topic: string, ...rest: unknown[]]>(rows: readonly Row[]): [topic: string, rows: Row[]][] {
  const topics = new Map<string, Row[]>()
  for (const row of rows) topics.set(row[0], [...(topics.get(row[0]) ?? []), row])
  return [...topics]
}

function asClosed(error: unknown): string {
  if ((error as ConnectionError).name !== 'ConnectionError') throw error
  const { reason, message } = error as ConnectionError
  return reason === 'closed' ? 'the connection is closed' : `${reason}: ${message}`
}
