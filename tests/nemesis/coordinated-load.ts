import assert from 'node:assert/strict'
import {
  batchHeader,
  Fetch,
  FindCoordinator,
  iterateBatches,
  JoinGroup,
  LeaveGroup,
  OffsetCommit,
  OffsetFetch,
  Produce,
  readRecords,
  SyncGroup,
  TxnOffsetCommit,
} from '@tidelog/protocol'
import { batchOf, type Call, createTopic, endOffsets, endTransaction, initProducer, type TestProducer } from '@tidelog/testkit'
import type { HistoryChecker } from './checker.ts'
import type { HistoryEvent, PlaceAndOffset, ReadRecord } from './history.ts'

const PARTITIONS = [0, 1] as const
const [SOURCE, COPY] = ['source', 'copy'] as const
const UNSTABLE_OFFSET_COMMIT = 88
const MEMBER_ID_REQUIRED = 79
/** NOT_ENOUGH_REPLICAS, which clients of every version try again, and CONCURRENT_TRANSACTIONS. */
const whileTheLastOneEnds: ReadonlySet<number> = new Set([19, 51])
const READER = 100
const FINAL_READER = 101
const OBSERVER = 102

/** A small load for coordinators, one request at a time: transactions, copies of what they wrote made exactly once, a group whose partitions move. */
export class CoordinatedLoad {
  readonly #calls: readonly Call[]
  readonly #call: Call
  readonly #checker: HistoryChecker
  readonly #position = new Map<string, number>()
  #time = 0

  /** @param calls Three connections: what waits on one must not hold up the others. */
  constructor(calls: readonly [Call, Call, Call], checker: HistoryChecker) {
    this.#calls = calls
    this.#call = calls[0]
    this.#checker = checker
  }

  async run(): Promise<void> {
    for (const topic of [SOURCE, COPY]) await createTopic({ send: this.#call }, topic, { partitions: PARTITIONS.length })
    // Asking for coordinators makes their topics.
    for (const keyType of [0, 1]) {
      for (let code = -1; code !== 0; ) {
        const { coordinators } = await this.#call(FindCoordinator, 4, { keyType, coordinatorKeys: ['any'] })
        code = coordinators[0]!.errorCode
      }
    }
    await this.#write(1, 3)
    await this.#copy(2)
    await this.#write(3, 3)
    await this.#copy(4)
    await this.#readCommittedOffsets()
    for (const topic of [SOURCE, COPY]) {
      await this.#settled(topic)
      for (const partition of PARTITIONS) await this.#read(FINAL_READER, topic, partition)
    }
    await this.#movePartitions()
  }

  /** Transactions over both partitions, the second of which is aborted; a reader of committed records looks on. */
  async #write(process: number, transactions: number): Promise<void> {
    let producer = await initProducer(this.#call, 'writer')
    let counter = 0
    for (let number = 0; number < transactions; number++) {
      const transaction = `${process}-t${number}`
      for (const partition of PARTITIONS) {
        await this.#send(process, producer, { topic: SOURCE, partition, transaction, value: `${process}-${counter++}` })
      }
      for (const partition of PARTITIONS) await this.#read(READER, SOURCE, partition)
      producer = await this.#end(process, producer, { transaction, end: number === 1 ? 'abort' : 'commit' })
    }
  }

  /** One life of a copier: from the committed offsets to the end. */
  async #copy(process: number): Promise<void> {
    let producer = await initProducer(this.#call, 'copier')
    let counter = 0
    await this.#settled(SOURCE)
    for (const partition of PARTITIONS) {
      const from = await this.#committedOffset(partition)
      const { records, next } = await this.#fetch(SOURCE, partition, Math.max(0, from))
      const transaction = `${process}-t${partition}`
      for (const [offset] of records) {
        const value = `${process}-${counter++}`
        await this.#send(process, producer, { topic: COPY, partition, transaction, value, from: [SOURCE, partition, offset] })
      }
      const topics = [{ name: SOURCE, partitions: [{ partitionIndex: partition, committedOffset: next, committedMetadata: '' }] }]
      for (let code = -1; code !== 0; ) {
        const { topics: answered } = await this.#call(TxnOffsetCommit, 5, { ...producer, groupId: 'copiers', topics })
        code = answered[0]!.partitions[0]!.errorCode
        assert.ok(code === 0 || whileTheLastOneEnds.has(code), `TxnOffsetCommit: ${code}`)
      }
      const offsets: PlaceAndOffset[] = [[SOURCE, partition, next]]
      producer = await this.#end(process, producer, { transaction, end: 'commit', group: 'copiers', offsets })
    }
  }

  async #send(
    process: number,
    { transactionalId, producerId, producerEpoch }: TestProducer,
    send: { topic: string; partition: number; transaction: string; value: string; from?: PlaceAndOffset },
  ): Promise<void> {
    const { topic, partition, value } = send
    this.#log(process, { op: 'send', type: 'invoke', ...send })
    const records = batchOf([{ value }])
    batchHeader.setProducerState(records, 0, {
      producerId,
      producerEpoch,
      baseSequence: this.#sequence(process, send),
      isTransactional: true,
    })
    const topicData = [{ name: topic, partitionData: [{ index: partition, records }] }]
    for (;;) {
      const { responses } = await this.#call(Produce, 12, { transactionalId, acks: -1, timeoutMs: 5000, topicData })
      const { errorCode, baseOffset } = responses[0]!.partitionResponses[0]!
      if (whileTheLastOneEnds.has(errorCode)) continue
      assert.equal(errorCode, 0)
      this.#log(process, { op: 'send', type: 'ok', topic, partition, value, offset: baseOffset })
      return
    }
  }

  readonly #sequences = new Map<string, number>()
  /** Each transaction of version 2 has an epoch of its own, and begins with 0. */
  #sequence(process: number, { topic, partition, transaction }: { topic: string; partition: number; transaction: string }): number {
    const key = `${process} ${topic} ${partition} ${transaction}`
    const sequence = this.#sequences.get(key) ?? 0
    this.#sequences.set(key, sequence + 1)
    return sequence
  }

  async #end(
    process: number,
    producer: TestProducer,
    ending: { transaction: string; end: 'commit' | 'abort'; group?: string; offsets?: PlaceAndOffset[] },
  ): Promise<TestProducer> {
    this.#log(process, { op: 'txn', type: 'invoke', ...ending })
    const { errorCode, producerId, producerEpoch } = await endTransaction(this.#call, producer, {
      committed: ending.end === 'commit',
      version: 5,
    })
    assert.equal(errorCode, 0)
    this.#log(process, { op: 'txn', type: 'ok', ...ending })
    return { ...producer, producerId, producerEpoch }
  }

  async #read(process: number, topic: string, partition: number): Promise<void> {
    const key = `${process} ${topic} ${partition}`
    const { records, next } = await this.#fetch(topic, partition, this.#position.get(key) ?? 0)
    this.#position.set(key, next)
    const mode = process === FINAL_READER ? 'final' : 'assign'
    this.#log(process, { op: 'poll', type: 'ok', mode, records: [[topic, partition, records]] })
  }

  /** As a client reads committed records. */
  async #fetch(topic: string, partition: number, fetchOffset: number): Promise<{ records: ReadRecord[]; next: number }> {
    const { responses } = await this.#call(Fetch, 11, {
      maxWaitMs: 0,
      minBytes: 0,
      isolationLevel: 1,
      topics: [{ topic, partitions: [{ partition, fetchOffset, partitionMaxBytes: 1 << 20 }] }],
      forgottenTopicsData: [],
    })
    const { errorCode, records: bytes, abortedTransactions } = responses[0]!.partitions[0]!
    assert.equal(errorCode, 0)
    const waiting = [...(abortedTransactions ?? [])].sort((a, b) => a.firstOffset - b.firstOffset)
    const open = new Set<number>()
    const records: ReadRecord[] = []
    let next = fetchOffset
    for (const batch of iterateBatches(bytes ?? Buffer.alloc(0))) {
      while (waiting[0] !== undefined && waiting[0].firstOffset <= batch.lastOffset) open.add(waiting.shift()!.producerId)
      next = batch.lastOffset + 1
      if (batch.isControl) open.delete(batch.producerId)
      else if (!open.has(batch.producerId)) {
        for (const { offset, value } of readRecords(batch, { maxOutputBytes: 1 << 20 })) records.push([offset, String(value), ''])
      }
    }
    return { records, next }
  }

  /** Every transaction has its markers. */
  async #settled(topic: string): Promise<void> {
    for (const partition of PARTITIONS) {
      for (let [stable, end] = [-1, 0]; stable !== end; ) [stable, end] = await endOffsets(this.#call, topic, partition)
    }
  }

  async #committedOffset(partition: number): Promise<number> {
    for (;;) {
      const topics = [{ name: SOURCE, partitionIndexes: [partition] }]
      const answer = await this.#call(OffsetFetch, 7, { groupId: 'copiers', topics, requireStable: true })
      const { errorCode, committedOffset } = answer.topics[0]!.partitions[0]!
      if (errorCode === UNSTABLE_OFFSET_COMMIT) continue
      assert.equal(errorCode, 0)
      return committedOffset
    }
  }

  async #readCommittedOffsets(): Promise<void> {
    this.#log(OBSERVER, { op: 'committed', type: 'invoke', group: 'copiers' })
    const offsets: PlaceAndOffset[] = []
    for (const partition of PARTITIONS) offsets.push([SOURCE, partition, await this.#committedOffset(partition)])
    this.#log(OBSERVER, { op: 'committed', type: 'ok', group: 'copiers', offsets })
  }

  // --- a group -------------------------------------------------------------------------------------------------------------------

  /** One member has both partitions, gives one to another, and gets it back when that one is put out, which does not know, and commits. */
  async #movePartitions(): Promise<void> {
    const [first, second] = [await this.#memberId(this.#calls[1]!), await this.#memberId(this.#calls[2]!)]
    const alone = await this.#join(this.#calls[1]!, first)
    await this.#assign(10, alone, first, { [first]: [0, 1] })
    const joining = this.#join(this.#calls[2]!, second)
    this.#log(10, { op: 'revoked', type: 'ok', group: 'owners', offsets: placesOf([0, 1]) })
    const together = await this.#join(this.#calls[1]!, first)
    assert.equal(await joining, together)
    await this.#assign(10, together, first, { [first]: [0], [second]: [1] })
    await this.#assign(11, together, second, {})
    await this.#commit(10, first, together, 0)
    await this.#commit(11, second, together, 1)
    await this.#call(LeaveGroup, 3, { groupId: 'owners', members: [{ memberId: second, groupInstanceId: null }] })
    const again = await this.#join(this.#calls[1]!, first)
    await this.#assign(10, again, first, { [first]: [0, 1] })
    await this.#commit(10, first, again, 1)
    await this.#commit(11, second, together, 1)
  }

  async #memberId(call: Call): Promise<string> {
    const { errorCode, memberId } = await call(JoinGroup, 5, joinAs(''))
    assert.equal(errorCode, MEMBER_ID_REQUIRED)
    return memberId
  }

  /** @returns The generation. */
  async #join(call: Call, memberId: string): Promise<number> {
    const { errorCode, generationId } = await call(JoinGroup, 5, joinAs(memberId))
    assert.equal(errorCode, 0)
    return generationId
  }

  async #assign(process: number, generationId: number, memberId: string, partitions: Record<string, number[]>): Promise<void> {
    const assignments = Object.entries(partitions).map(([member, its]) => ({ memberId: member, assignment: Buffer.from(its) }))
    const { errorCode, assignment } = await this.#call(SyncGroup, 3, { groupId: 'owners', generationId, memberId, assignments })
    assert.equal(errorCode, 0)
    this.#log(process, { op: 'assigned', type: 'ok', group: 'owners', generation: generationId, offsets: placesOf([...assignment]) })
  }

  async #commit(process: number, memberId: string, generation: number, partition: number): Promise<void> {
    const offsets: PlaceAndOffset[] = [[SOURCE, partition, 1]]
    this.#log(process, { op: 'commit', type: 'invoke', group: 'owners', generation, offsets })
    const topics = [{ name: SOURCE, partitions: [{ partitionIndex: partition, committedOffset: 1, committedMetadata: '' }] }]
    const answer = await this.#call(OffsetCommit, 7, { groupId: 'owners', generationIdOrMemberEpoch: generation, memberId, topics })
    const type = answer.topics[0]!.partitions[0]!.errorCode === 0 ? 'ok' : 'fail'
    this.#log(process, { op: 'commit', type, group: 'owners', generation, offsets })
  }

  #log(process: number, event: Record<string, unknown>): void {
    this.#checker.add({ time: this.#time++, process, client: 'load', ...event } as unknown as HistoryEvent)
  }
}

const placesOf = (partitions: readonly number[]): PlaceAndOffset[] => partitions.map((partition) => [SOURCE, partition, -1])

const joinAs = (memberId: string) => ({
  groupId: 'owners',
  sessionTimeoutMs: 30_000,
  rebalanceTimeoutMs: 30_000,
  memberId,
  protocolType: 'load',
  protocols: [{ name: 'any', metadata: Buffer.alloc(0) }],
})
