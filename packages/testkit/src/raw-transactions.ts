import {
  AddOffsetsToTxn,
  AddPartitionsToTxn,
  batchHeader,
  DescribeTransactions,
  EndTxn,
  errorTable,
  Fetch,
  InitProducerId,
  iterateBatches,
  ListOffsets,
  Produce,
  type RequestInput,
} from '@tidelog/protocol'
import { batchOf, recordsIn } from './batches.ts'
import type { Call } from './test-connection.ts'

export interface TestProducer {
  readonly transactionalId: string
  readonly producerId: number
  readonly producerEpoch: number
}

/** Takes the transactional id over, asking again while its last transaction is being ended or transactions are being loaded. */
export async function initProducer(
  call: Call,
  transactionalId: string,
  request: Partial<RequestInput<typeof InitProducerId>> = {},
): Promise<TestProducer> {
  for (;;) {
    const { errorCode, producerId, producerEpoch } = await call(InitProducerId, 5, {
      transactionalId,
      transactionTimeoutMs: 60_000,
      ...request,
    })
    if (errorCode === 0) return { transactionalId, producerId, producerEpoch }
    if (!askAgain.has(errorCode)) throw new Error(`InitProducerId: error ${errorCode}`)
  }
}
const askAgain: ReadonlySet<number> = new Set(
  (['CONCURRENT_TRANSACTIONS', 'COORDINATOR_LOAD_IN_PROGRESS', 'COORDINATOR_NOT_AVAILABLE', 'NOT_COORDINATOR'] as const).map(
    (name) => errorTable[name].code,
  ),
)

/** @returns The error code of the partition. */
export async function addPartition(call: Call, producer: TestProducer, topic: string, partition = 0): Promise<number> {
  const { resultsByTopicV3AndBelow } = await call(AddPartitionsToTxn, 3, {
    v3AndBelowTransactionalId: producer.transactionalId,
    v3AndBelowProducerId: producer.producerId,
    v3AndBelowProducerEpoch: producer.producerEpoch,
    v3AndBelowTopics: [{ name: topic, partitions: [partition] }],
  })
  return resultsByTopicV3AndBelow[0]!.resultsByPartition[0]!.partitionErrorCode
}

/** Adds the partition that has a group's offsets. @returns An error code. */
export async function addOffsetsToTransaction(call: Call, producer: TestProducer, groupId: string): Promise<number> {
  const { transactionalId, producerId, producerEpoch } = producer
  return (await call(AddOffsetsToTxn, 3, { transactionalId, producerId, producerEpoch, groupId })).errorCode
}

/**
 * Sends one transactional record.
 * @param version From 12 on the partition's leader adds it to the transaction.
 * @returns The error code of the partition.
 */
export async function produceInTransaction(
  call: Call,
  { transactionalId, producerId, producerEpoch }: TestProducer,
  {
    topic,
    partition = 0,
    value = 'v',
    baseSequence = 0,
    version = 10,
  }: { topic: string; partition?: number; value?: string; baseSequence?: number; version?: 10 | 11 | 12 },
): Promise<number> {
  const records = batchOf([{ value }])
  batchHeader.setProducerState(records, 0, { producerId, producerEpoch, baseSequence, isTransactional: true })
  const { responses } = await call(Produce, version, {
    transactionalId,
    acks: -1,
    timeoutMs: 5000,
    topicData: [{ name: topic, partitionData: [{ index: partition, records }] }],
  })
  return responses[0]!.partitionResponses[0]!.errorCode
}

/** @param version From 5 on the answer has the next epoch. */
export function endTransaction(call: Call, producer: TestProducer, { committed, version = 3 }: { committed: boolean; version?: 3 | 5 }) {
  const { transactionalId, producerId, producerEpoch } = producer
  return call(EndTxn, version, { transactionalId, producerId, producerEpoch, committed })
}

/** Resolves when the id's transaction that was decided has its markers, and its coordinator has written that down. */
export async function untilOver(call: Call, transactionalId: string): Promise<void> {
  for (;;) {
    const { transactionStates } = await call(DescribeTransactions, 0, { transactionalIds: [transactionalId] })
    const [state] = transactionStates
    if (state!.errorCode === 0 && !['Ongoing', 'PrepareCommit', 'PrepareAbort'].includes(state!.transactionState)) return
  }
}

/** Values of the records that a reader of committed records gets. */
export async function committedValues(call: Call, topic: string, partition = 0): Promise<(string | null)[]> {
  const { responses } = await call(Fetch, 11, {
    maxWaitMs: 0,
    minBytes: 0,
    isolationLevel: 1,
    topics: [{ topic, partitions: [{ partition, fetchOffset: 0, partitionMaxBytes: 1 << 20 }] }],
    forgottenTopicsData: [],
  })
  const { records, abortedTransactions } = responses[0]!.partitions[0]!
  return committedRecords(records, abortedTransactions ?? [])
}

/** As a client does it: what the aborted transactions began stays out until their markers. */
function committedRecords(records: Buffer | null, aborted: readonly { producerId: number; firstOffset: number }[]): (string | null)[] {
  const values: (string | null)[] = []
  const open = new Set<number>()
  const waiting = [...aborted].sort((a, b) => a.firstOffset - b.firstOffset)
  for (const batch of iterateBatches(records ?? Buffer.alloc(0))) {
    while (waiting[0] !== undefined && waiting[0].firstOffset <= batch.lastOffset) open.add(waiting.shift()!.producerId)
    if (batch.isControl) open.delete(batch.producerId)
    else if (!batch.isTransactional || !open.has(batch.producerId)) values.push(...recordsIn(batch.bytes).map(({ value }) => value))
  }
  return values
}

/** The last stable offset and the high watermark. */
export async function endOffsets(call: Call, topic: string, partition = 0): Promise<[lastStable: number, highWatermark: number]> {
  const offset = async (isolationLevel: number) => {
    const { topics } = await call(ListOffsets, 5, {
      replicaId: -1,
      isolationLevel,
      topics: [{ name: topic, partitions: [{ partitionIndex: partition, timestamp: -1 }] }],
    })
    return topics[0]!.partitions[0]!.offset
  }
  return [await offset(1), await offset(0)]
}
