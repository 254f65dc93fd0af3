/** Transactions as producers of transaction.version 1 and 2 have them: what coordinators and partitions answer, and what they write. KIP-98, KIP-890. */
import { decodeTransactionRecord } from '@tidelog/coordinator'
import {
  AddOffsetsToTxn,
  AddPartitionsToTxn,
  DescribeProducers,
  DescribeTransactions,
  EndTxn,
  Fetch,
  FindCoordinator,
  InitProducerId,
  iterateBatches,
  ListTransactions,
  OffsetFetch,
  Produce,
  type RequestInput,
  readRecords,
  TxnOffsetCommit,
  WriteTxnMarkers,
} from '@tidelog/protocol'
import type { Difference } from './normal-form.ts'
import { batch, someRecords } from './odd-batches.ts'
import type { Peer } from './peer.ts'

const topic = 'transactions'
const group = 'transactional-group'
const retriable: ReadonlySet<number> = new Set([14, 15, 16])

/** The versions of requests that producers of a transaction.version use. */
interface Level {
  readonly name: 'v1' | 'v2'
  readonly produce: number
  readonly endTxn: number
  readonly txnOffsetCommit: number
}
const v1: Level = { name: 'v1', produce: 11, endTxn: 4, txnOffsetCommit: 4 }
const v2: Level = { name: 'v2', produce: 12, endTxn: 5, txnOffsetCommit: 5 }

interface Producer {
  readonly transactionalId: string
  readonly producerId: number
  readonly producerEpoch: number
}

/** One transactional id under a scenario. */
class Transactional {
  readonly peer: Peer
  readonly level: Level
  readonly transactionalId: string
  current: Producer
  #sequence = 0

  constructor(peer: Peer, level: Level, transactionalId: string) {
    this.peer = peer
    this.level = level
    this.transactionalId = transactionalId
    this.current = { transactionalId, producerId: -1, producerEpoch: -1 }
  }

  label(what: string): string {
    return `transactions ${this.level.name}, ${this.transactionalId}: ${what}`
  }

  async init(what: string, request: Partial<RequestInput<typeof InitProducerId>> = {}, version = 5): Promise<void> {
    const answer = await this.peer.see(this.label(what), InitProducerId, version, {
      transactionalId: this.transactionalId,
      transactionTimeoutMs: 60_000,
      ...request,
    })
    if (answer?.errorCode !== 0) return
    const { producerId, producerEpoch } = answer
    if (producerEpoch !== this.current.producerEpoch || producerId !== this.current.producerId) this.#sequence = 0
    this.current = { transactionalId: this.transactionalId, producerId, producerEpoch }
  }

  add(what: string, partitions: readonly number[], producer: Partial<Producer> = {}, version = 3) {
    const { transactionalId, producerId, producerEpoch } = { ...this.current, ...producer }
    return this.peer.see(this.label(what), AddPartitionsToTxn, version, {
      v3AndBelowTransactionalId: transactionalId,
      v3AndBelowProducerId: producerId,
      v3AndBelowProducerEpoch: producerEpoch,
      v3AndBelowTopics: [{ name: topic, partitions }],
    })
  }

  async produce(what: string, { producer = {}, version = this.level.produce, partition = 0, sequence }: ProduceWish = {}): Promise<void> {
    const { transactionalId, producerId, producerEpoch } = { ...this.current, ...producer }
    const records = batch(someRecords(1), { producerId, producerEpoch, baseSequence: sequence ?? this.#sequence, isTransactional: true })
    const request = this.peer.produceRequest(version, [[topic, partition, records]], { transactionalId })
    const answer = await this.peer.see(this.label(what), Produce, version, request)
    const code = answer?.responses[0]?.partitionResponses[0]?.errorCode
    if (code === 0 && partition === 0 && sequence === undefined) this.#sequence++
  }

  async end(what: string, committed: boolean, producer: Partial<Producer> = {}, version = this.level.endTxn): Promise<void> {
    const asked = { ...this.current, ...producer }
    const answer = await this.peer.see(this.label(what), EndTxn, version, { ...asked, committed })
    if (answer?.errorCode === 0 && version >= 5) {
      this.current = { ...this.current, producerId: answer.producerId, producerEpoch: answer.producerEpoch }
      this.#sequence = 0
    }
    await this.settled()
  }

  addOffsets(what: string, producer: Partial<Producer> = {}, version = 4) {
    return this.peer.see(this.label(what), AddOffsetsToTxn, version, { ...this.current, ...producer, groupId: group })
  }

  commitOffset(
    what: string,
    committedOffset: number,
    request: Partial<RequestInput<typeof TxnOffsetCommit>> = {},
    version = this.level.txnOffsetCommit,
  ) {
    return this.peer.see(this.label(what), TxnOffsetCommit, version, {
      ...this.current,
      groupId: group,
      topics: [{ name: topic, partitions: [{ partitionIndex: 0, committedOffset, committedMetadata: 'm' }] }],
      ...request,
    })
  }

  offsets(what: string, requireStable = true) {
    return this.peer.see(this.label(what), OffsetFetch, 8, {
      groups: [{ groupId: group, topics: [{ name: topic, partitionIndexes: [0] }] }],
      requireStable,
    })
  }

  describe(what: string) {
    return this.peer.see(this.label(`${what}: described`), DescribeTransactions, 0, { transactionalIds: [this.transactionalId] })
  }

  /** Until the markers of a decided transaction are written. */
  async settled(): Promise<void> {
    for (;;) {
      const { transactionStates } = await this.peer.call(DescribeTransactions, 0, { transactionalIds: [this.transactionalId] })
      if (!transactionStates[0]!.transactionState.startsWith('Prepare')) return
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
}

interface ProduceWish {
  readonly producer?: Partial<Producer>
  readonly version?: number
  readonly partition?: number
  readonly sequence?: number
}

async function ready(peer: Peer): Promise<void> {
  for (const [keyType, key] of [
    [1, 'any'],
    [0, group],
  ] as const) {
    for (;;) {
      const { coordinators } = await peer.call(FindCoordinator, 4, { keyType, coordinatorKeys: [key] })
      if (coordinators[0]!.errorCode === 0) break
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  for (;;) {
    const { transactionStates } = await peer.call(DescribeTransactions, 0, { transactionalIds: ['any'] })
    if (!retriable.has(transactionStates[0]!.errorCode)) break
  }
  for (;;) {
    const { groups } = await peer.call(OffsetFetch, 8, { groups: [{ groupId: group, topics: null }], requireStable: false })
    if (!retriable.has(groups[0]!.errorCode)) break
  }
  for (;;) {
    const { errorCode } = await peer.call(InitProducerId, 5, { transactionalId: 'first', transactionTimeoutMs: 1000 })
    if (errorCode === 0) break
  }
}

export async function runTransactions(peer: Peer): Promise<void> {
  await ready(peer)
  await peer.topic(topic, { partitions: 4 })
  for (const level of [v1, v2]) {
    await takeOver(new Transactional(peer, level, `${level.name}-ids`))
    await commitAndAbort(new Transactional(peer, level, `${level.name}-ends`))
    await endWrongly(new Transactional(peer, level, `${level.name}-errors`))
    await writeWithout(new Transactional(peer, level, `${level.name}-unverified`))
    await commitOffsets(new Transactional(peer, level, `${level.name}-offsets`))
  }
  await verify(new Transactional(peer, v2, 'verified'))
  await hang(new Transactional(peer, v1, 'hanging'))
  await list(peer)
  for (const isolationLevel of [0, 1]) await readBatches(peer, isolationLevel)
  await peer.see('transactions: producers', DescribeProducers, 0, { topics: [{ name: topic, partitionIndexes: [0, 1] }] })
  await readLog(peer)
}

/** InitProducerId: timeouts, epochs, fencing. */
async function takeOver(txn: Transactional): Promise<void> {
  for (const transactionTimeoutMs of [0, -1, 900_001, 2 ** 31 - 1])
    await txn.init(`timeout ${transactionTimeoutMs}`, { transactionTimeoutMs })
  await txn.init('first')
  await txn.describe('first')
  const { producerId } = txn.current
  await txn.init('again', {}, 0)
  await txn.init('goes on', { producerId, producerEpoch: 1 })
  await txn.init('goes on, answer lost', { producerId, producerEpoch: 1 })
  await txn.init('older epoch', { producerId, producerEpoch: 0 })
  await txn.init('older epoch, version 3', { producerId, producerEpoch: 0 }, 3)
  await txn.init('newer epoch', { producerId, producerEpoch: 7 })
  await txn.init('another id', { producerId: 4_000_000, producerEpoch: 2 })
  await txn.init('last epoch', { producerId, producerEpoch: 32_766 })
  await txn.describe('before it is fenced')
  await txn.add('adds', [0])
  await txn.produce('open')
  const old = txn.current
  await txn.init('fences the open one')
  await txn.settled()
  await txn.describe('fenced')
  await txn.produce('fenced: produces', { producer: old })
  await txn.end('fenced: ends', true, old)
  await txn.end('fenced: ends, version 1', true, old, 1)
  await txn.add('fenced: adds', [0], old)
  await txn.add('fenced: adds, version 1', [0], old, 1)
  await txn.addOffsets('fenced: offsets', old)
  await txn.addOffsets('fenced: offsets, version 1', old, 1)
  await txn.init('fenced: goes on', { producerId: old.producerId, producerEpoch: old.producerEpoch })
  await txn.init('after the fence')
  await txn.describe('after the fence')
}

async function commitAndAbort(txn: Transactional): Promise<void> {
  await txn.init('init')
  for (const committed of [true, false]) {
    const end = committed ? 'commit' : 'abort'
    const own = txn.level === v2
    if (!own) await txn.add(`${end}: adds`, [0, 1])
    await txn.produce(`${end}: produces`)
    await txn.produce(`${end}: produces again`)
    await txn.produce(`${end}: produces elsewhere`, { partition: 1, sequence: own ? 0 : committed ? 0 : 1 })
    await txn.describe(`${end}: open`)
    const before = txn.current
    await txn.end(end, committed)
    await txn.describe(`${end}: over`)
    await txn.end(`${end} again`, committed, before)
    await txn.end(`${end}, then the other`, !committed, before)
    await txn.produce(`${end}: late`, { producer: before, partition: 2, sequence: 0 })
    await txn.produce(`${end}: late, where it was`, { producer: before, sequence: own ? 2 : committed ? 2 : 4 })
  }
  await txn.end('nothing, committed', true)
  await txn.end('nothing, aborted', false)
  await txn.describe('nothing, aborted')
  await txn.end('nothing, aborted again', false)
  await txn.end('nothing, committed again', true)
  await txn.describe('nothing, again')
}

async function endWrongly(txn: Transactional): Promise<void> {
  const nobody = { producerId: 4_000_000, producerEpoch: 0 }
  await txn.end('unknown id', true, nobody)
  await txn.add('unknown id: adds', [0], nobody)
  await txn.addOffsets('unknown id: offsets', nobody)
  await txn.init('init')
  await txn.end('empty, committed', true)
  await txn.end('empty, aborted', false)
  await txn.describe('empty, aborted')
  await txn.end('another producer id', true, { producerId: 4_000_000 })
  await txn.end('newer epoch', true, { producerEpoch: txn.current.producerEpoch + 1 })
  await txn.end('no transactional id', true, { transactionalId: '' })
  await txn.add('no transactional id: adds', [0], { transactionalId: '' })
  await txn.add('another producer id: adds', [0], { producerId: 4_000_000 })
  await txn.add('newer epoch: adds', [0], { producerEpoch: txn.current.producerEpoch + 1 })
  await txn.add('missing partitions', [0, 9])
  await txn.add('partition -1', [-1])
  await txn.addOffsets('no transactional id: offsets', { transactionalId: '' })
  for (const version of [0, 1, 2, 3, 4]) {
    await txn.add(`adds, version ${version}`, [0], {}, Math.min(version, 3) as 0)
    if (version < 4) await txn.end(`ends, version ${version}`, false, {}, version)
    await txn.end(`ends again, version ${version}`, false, {}, version)
  }
}

/** What a partition says when the coordinator does not know of it. */
async function writeWithout(txn: Transactional): Promise<void> {
  await txn.init('init')
  for (const version of [9, 10, 11, 12]) await txn.produce(`without adding, Produce ${version}`, { version, partition: 3, sequence: 0 })
  await txn.end('what Produce 12 has added', false)
  await txn.produce('another epoch', { producer: { producerEpoch: txn.current.producerEpoch + 5 }, partition: 3, sequence: 0 })
  await txn.produce('older epoch', { producer: { producerEpoch: Math.max(0, txn.current.producerEpoch - 1) }, partition: 2, sequence: 0 })
  await txn.produce('another producer id', { producer: { producerId: 4_000_000 }, partition: 2, sequence: 0 })
  await txn.produce('unknown transactional id', { producer: { transactionalId: 'nobody' }, partition: 2, sequence: 0 })
  await txn.produce('empty transactional id', { producer: { transactionalId: '' }, partition: 2, sequence: 0 })
  await txn.add('added', [2])
  await txn.produce('sequence 5', { partition: 2, sequence: 5 })
  await txn.produce('sequence 0', { partition: 2, sequence: 0 })
  await txn.end('end', false)
}

async function commitOffsets(txn: Transactional): Promise<void> {
  await txn.init('init')
  for (const version of [0, 1, 2, 3, 4]) await txn.commitOffset(`without adding, version ${version}`, 1, {}, version)
  if (txn.level === v1) await txn.addOffsets('adds')
  await txn.commitOffset('commits', 5)
  await txn.offsets('open, stable wanted')
  await txn.offsets('open', false)
  await txn.end('commit', true)
  await txn.offsets('committed')
  if (txn.level === v1) await txn.addOffsets('adds again')
  await txn.commitOffset('commits again', 9)
  await txn.commitOffset('unknown topic', 9, {
    topics: [{ name: 'no-such-topic', partitions: [{ partitionIndex: 0, committedOffset: 1, committedMetadata: '' }] }],
  })
  await txn.commitOffset('metadata too long', 9, {
    topics: [{ name: topic, partitions: [{ partitionIndex: 0, committedOffset: 1, committedMetadata: 'm'.repeat(5000) }] }],
  })
  await txn.commitOffset('generation 3', 9, { generationId: 3 })
  await txn.commitOffset('unknown member', 9, { generationId: 3, memberId: 'nobody' })
  await txn.commitOffset('unknown member without generation', 9, { memberId: 'nobody' })
  await txn.commitOffset('unknown instance', 9, { groupInstanceId: 'nobody' })
  await txn.commitOffset('unknown group, generation 3', 9, { generationId: 3, groupId: 'unknown-group' })
  await txn.commitOffset('empty group id', 9, { groupId: '' })
  await txn.commitOffset('newer epoch', 9, { producerEpoch: txn.current.producerEpoch + 1 })
  await txn.commitOffset('older epoch', 9, { producerEpoch: txn.current.producerEpoch - 1 })
  await txn.commitOffset('another producer id', 9, { producerId: 4_000_000 })
  await txn.end('abort', false)
  await txn.offsets('aborted')
}

/** AddPartitionsToTxn as brokers send it. */
async function verify(txn: Transactional): Promise<void> {
  await txn.init('init')
  for (const version of [4, 5]) {
    const see = (what: string, transactions: { verifyOnly: boolean; partitions: number[]; producer?: Partial<Producer> }[]) =>
      txn.peer.see(txn.label(`version ${version}: ${what}`), AddPartitionsToTxn, version, {
        transactions: transactions.map(({ verifyOnly, partitions, producer = {} }) => ({
          ...txn.current,
          ...producer,
          verifyOnly,
          topics: [{ name: topic, partitions }],
        })),
      })
    await see('not added', [{ verifyOnly: true, partitions: [0, 1] }])
    await see('adds', [{ verifyOnly: false, partitions: [0] }])
    await see('some added', [{ verifyOnly: true, partitions: [0, 1] }])
    await see('unknown id', [{ verifyOnly: true, partitions: [0], producer: { transactionalId: 'nobody' } }])
    await see('empty id', [{ verifyOnly: true, partitions: [0], producer: { transactionalId: '' } }])
    await see('another epoch', [{ verifyOnly: true, partitions: [0], producer: { producerEpoch: 8 } }])
    await see('another producer id', [{ verifyOnly: true, partitions: [0], producer: { producerId: 4_000_000 } }])
    await see('missing partition', [{ verifyOnly: true, partitions: [0, 9] }])
    await txn.end(`version ${version}: end`, false)
  }
}

/** What an administrator does with a transaction that nobody ends. */
async function hang(txn: Transactional): Promise<void> {
  await txn.init('init')
  await txn.add('adds', [3])
  await txn.produce('open', { partition: 3, sequence: 0 })
  const write = (
    what: string,
    marker: { producerEpoch?: number; coordinatorEpoch?: number; producerId?: number; transactionVersion?: number; committed?: boolean },
    names: string[] = [topic],
    version = 1,
  ) =>
    txn.peer.see(txn.label(what), WriteTxnMarkers, version, {
      markers: [
        {
          producerId: marker.producerId ?? txn.current.producerId,
          producerEpoch: marker.producerEpoch ?? txn.current.producerEpoch,
          coordinatorEpoch: marker.coordinatorEpoch ?? 0,
          transactionResult: marker.committed ?? false,
          transactionVersion: marker.transactionVersion ?? 0,
          topics: names.map((name) => ({ name, partitionIndexes: [3] })),
        },
      ],
    })
  await write('older epoch', { producerEpoch: -1 })
  await write('unknown topic', {}, ['no-such-topic'])
  await write('ends', { coordinatorEpoch: 5 })
  await write('ends again', { coordinatorEpoch: 5 })
  await write('older coordinator', { coordinatorEpoch: 4 })
  await write('newer epoch', { producerEpoch: 3, coordinatorEpoch: 5 })
  await write('unknown producer', { producerId: 4_100_000, producerEpoch: 2, coordinatorEpoch: 1 })
  await write('epoch -1 of an unknown producer', { producerId: 4_200_000, producerEpoch: -1 })
  await write('version 2, as ever', { producerEpoch: 3, coordinatorEpoch: 5 }, [topic], 2)
  await write('version 2 of transactions, same epoch', { producerEpoch: 3, coordinatorEpoch: 5, transactionVersion: 2 }, [topic], 2)
  await write('version 2 of transactions, newer epoch', { producerEpoch: 4, coordinatorEpoch: 5, transactionVersion: 2 }, [topic], 2)
  await write('version 2 of transactions, unknown producer', { producerId: 4_300_000, producerEpoch: 0, transactionVersion: 2 }, [topic], 2)
  await write('version 3 of transactions', { producerEpoch: 5, coordinatorEpoch: 5, transactionVersion: 3 }, [topic], 2)
  await txn.peer.see(txn.label('producers'), DescribeProducers, 0, { topics: [{ name: topic, partitionIndexes: [3] }] })
  await txn.peer.see(txn.label('no markers'), WriteTxnMarkers, 1, { markers: [] })
}

async function list(peer: Peer): Promise<void> {
  const see = async (what: string, version: number, request: Partial<RequestInput<typeof ListTransactions>> = {}) => {
    const answer = await peer.call(ListTransactions, version, { stateFilters: [], producerIdFilters: [], ...request })
    const sorted = [...answer.transactionStates].sort((a, b) => (a.transactionalId < b.transactionalId ? -1 : 1))
    peer.note(`transactions listed, version ${version}: ${what}`, { ...answer, transactionStates: sorted })
  }
  for (const version of peer.versions(ListTransactions)) {
    await see('all', version)
    await see('ongoing and nonsense', version, { stateFilters: ['Ongoing', 'Nonsense', 'Dead', 'PrepareEpochFence'] })
    await see('only nonsense', version, { stateFilters: ['Nonsense', 'ongoing'] })
    await see('unknown producer', version, { producerIdFilters: [4_000_000] })
    if (version < 1) continue
    await see('an hour long', version, { durationFilter: 3_600_000 })
    await see('duration 0, ongoing', version, { durationFilter: 0, stateFilters: ['Ongoing'] })
    if (version < 2) continue
    await see('by pattern', version, { transactionalIdPattern: 'v[12]-ids' })
    await see('by empty pattern', version, { transactionalIdPattern: '' })
    await see('by part', version, { transactionalIdPattern: 'ids' })
    await see('by a pattern that is none', version, { transactionalIdPattern: '(' })
  }
}

/** Batch by batch: how much of a log comes at once is the broker's choice. */
async function readBatches(peer: Peer, isolationLevel: number): Promise<void> {
  for (let offset = 0; ; offset++) {
    const request = peer.fetchRequest(12, [[topic, 0, { offset, maxBytes: 1 }]], { isolationLevel })
    const answer = await peer.see(`transactions: read from ${offset}, isolation ${isolationLevel}`, Fetch, 12, request)
    const { highWatermark = offset } = answer?.responses[0]?.partitions[0] ?? {}
    if (highWatermark <= offset) return
  }
}

/** From here on a few steps lead to the end of epochs. */
const LAST_EPOCHS = 32_762

async function useUpEpochs({ peer, transactionalId }: Transactional, last: number): Promise<void> {
  const request = { transactionalId, transactionTimeoutMs: 60_000 }
  for (let epoch = 0; epoch < last; ) {
    const answers = await Promise.all(Array.from({ length: Math.min(500, last - epoch) }, () => peer.call(InitProducerId, 5, request)))
    epoch = answers.at(-1)!.producerEpoch
  }
}

/** The last epochs of a producer id, and what comes behind them. */
async function exhaust(txn: Transactional): Promise<void> {
  await txn.init('init')
  await useUpEpochs(txn, LAST_EPOCHS)
  const own = txn.level === v2
  await txn.init('third last')
  for (const what of ['second last', 'last', 'next', 'one more']) {
    if (!own) await txn.add(`${what}: adds`, [1])
    const before = txn.current
    await txn.produce(`${what}: produces`, { partition: 1, sequence: 0 })
    await txn.end(`${what}: ends`, true)
    await txn.describe(what)
    await txn.end(`${what}: ends again`, true, before)
    const { producerId, producerEpoch } = before
    if (!own || what === 'last') await txn.init(`${what}: goes on`, { producerId, producerEpoch })
    await txn.describe(`${what}, at last`)
  }
}

/** An open transaction is fenced when there is hardly an epoch left. */
async function fenceAtTheEnd(txn: Transactional): Promise<void> {
  await txn.init('init')
  await useUpEpochs(txn, LAST_EPOCHS + 2)
  for (const what of ['second last', 'last', 'next']) {
    await txn.init(what)
    await txn.add(`${what}: adds`, [1])
    await txn.produce(`${what}: produces`, { partition: 1, sequence: 0 })
    await txn.describe(what)
    await txn.init(`${what}: fences`)
    await txn.settled()
    await txn.describe(`${what}, fenced`)
  }
}

export async function runOutOfEpochs(peer: Peer): Promise<void> {
  await ready(peer)
  await peer.topic(topic, { partitions: 4 })
  await exhaust(new Transactional(peer, v1, 'v1-exhausted'))
  await exhaust(new Transactional(peer, v2, 'v2-exhausted'))
  await fenceAtTheEnd(new Transactional(peer, v1, 'fenced-at-the-end'))
}

/** What the coordinators have written. */
async function readLog(peer: Peer): Promise<void> {
  const request = peer.fetchRequest(11, [['__transaction_state', 0, { maxBytes: 2 ** 24 }]])
  const { responses } = await peer.call(Fetch, 11, request)
  for (const records of iterateBatches(responses[0]!.partitions[0]!.records ?? Buffer.alloc(0))) {
    for (const { offset, key, value } of readRecords(records, { maxOutputBytes: 2 ** 24 })) {
      const version = value?.readInt16BE(0)
      const record = decodeTransactionRecord(key!, value)
      if (record?.transactionalId === 'first') continue
      const { transaction } = record!
      const partitions = Array.from(transaction?.partitions ?? [], ([name, indexes]) => `${name} ${[...indexes].sort()}`)
      const ids = [transaction?.producerId, transaction?.previousProducerId, transaction?.nextProducerId].map((producerId) => ({
        producerId,
      }))
      peer.note(`__transaction_state ${offset}`, {
        version,
        ...record,
        transaction: { ...transaction, lastProducerEpoch: 0, previousProducerId: 0, nextProducerId: 0, partitions },
        ids,
      })
    }
  }
}

export const listTransactionsKey = ListTransactions.key

/** Where we differ on purpose. docs/decisions/differences-from-kafka.md gives the reasons. */
export const intendedDifferences: readonly { readonly name: string; readonly covers: (difference: Difference) => boolean }[] = [
  { name: 'error messages', covers: ({ path }) => path.endsWith('rrorMessage') },
  {
    name: 'aborted transactions beyond what was read',
    covers: ({ label, path, kafka, ours }) =>
      /read from \d+, isolation 1$/.test(label) &&
      path.endsWith('abortedTransactions') &&
      (ours as unknown[]).length < (kafka as unknown[]).length,
  },
  {
    name: 'values that mean nothing',
    covers: ({ label, kafka, ours }) => /hanging: (older epoch|epoch -1)/.test(label) && kafka === -1 && ours === 42,
  },
]
