import { noPartitions, type PartitionsByTopic, type TopicPartition, withPartitions } from './topic-partitions.ts'

/** Kafka's names, as tools show them; the index is the state's number on disk. */
export const transactionStates = [
  'Empty',
  'Ongoing',
  'PrepareCommit',
  'PrepareAbort',
  'CompleteCommit',
  'CompleteAbort',
  'Dead',
  'PrepareEpochFence',
] as const
export type TransactionState = (typeof transactionStates)[number]

/** The transaction.version of clients that add partitions themselves and keep their epoch. */
export const TV_0 = 0
/** From here on every transaction has an epoch of its own, and partitions are added where records arrive. KIP-890. */
export const TV_2 = 2

export const NO_PRODUCER_ID = -1
export const NO_EPOCH = -1
const MAX_EPOCH = 32767
/** A transaction without a timeout, which an outside coordinator decides. KIP-939. */
const NO_TIMEOUT_MS = 2147483647

/** What is known of one transactional id. Never changed: every transition makes another one, which counts once its record is committed. */
export interface Transaction {
  readonly producerId: number
  /** Before the last transition. */
  readonly previousProducerId: number
  /** Takes the place of `producerId` when the transaction is over: its epochs are used up. */
  readonly nextProducerId: number
  readonly producerEpoch: number
  /** The epoch before the last bump that its own producer asked for; not kept in the log, as in Kafka. KIP-360. */
  readonly lastProducerEpoch: number
  readonly nextProducerEpoch: number
  readonly timeoutMs: number
  readonly state: TransactionState
  readonly partitions: PartitionsByTopic
  /** Ms since the Unix epoch, -1: none has begun. */
  readonly startTimestamp: number
  readonly lastUpdateTimestamp: number
  readonly clientTransactionVersion: number
}

/** A client gets no epoch above it, so that it can always be fenced. */
export const isEpochExhausted = (epoch: number): boolean => epoch >= MAX_EPOCH - 1

/** The newest epoch that a client may hold. */
export const LAST_CLIENT_EPOCH = MAX_EPOCH - 1

export const isOver = ({ state }: Transaction): boolean => state === 'Empty' || state === 'CompleteCommit' || state === 'CompleteAbort'

export const isBeingDecided = ({ state }: Transaction): boolean => state === 'PrepareCommit' || state === 'PrepareAbort'

export const hasTimeout = ({ timeoutMs }: Transaction): boolean => timeoutMs !== NO_TIMEOUT_MS

/** Nothing is known of the id: InitProducerId gives it epoch 0. */
export const newTransaction = (producerId: number, timeoutMs: number, nowMs: number): Transaction => ({
  producerId,
  previousProducerId: NO_PRODUCER_ID,
  nextProducerId: NO_PRODUCER_ID,
  producerEpoch: NO_EPOCH,
  lastProducerEpoch: NO_EPOCH,
  nextProducerEpoch: NO_EPOCH,
  timeoutMs,
  state: 'Empty',
  partitions: noPartitions,
  startTimestamp: -1,
  lastUpdateTimestamp: nowMs,
  clientTransactionVersion: TV_0,
})

const change = (from: Transaction, to: Partial<Transaction>): Transaction => ({
  ...from,
  nextProducerId: NO_PRODUCER_ID,
  previousProducerId: from.producerId,
  ...to,
})

interface Initialized {
  readonly timeoutMs: number
  readonly nowMs: number
}

/** Another epoch of the same producer id. @param lastProducerEpoch The epoch that may be repeated for the same answer; -1: none. */
export const withEpoch = (
  from: Transaction,
  { producerEpoch, lastProducerEpoch }: { producerEpoch: number; lastProducerEpoch: number },
  { timeoutMs, nowMs }: Initialized,
): Transaction =>
  change(from, {
    state: 'Empty',
    producerEpoch,
    lastProducerEpoch,
    timeoutMs,
    partitions: noPartitions,
    startTimestamp: -1,
    lastUpdateTimestamp: nowMs,
  })

/** Another producer id with epoch 0. */
export const withProducerId = (
  from: Transaction,
  { producerId, lastProducerEpoch }: { producerId: number; lastProducerEpoch: number },
  initialized: Initialized,
): Transaction => ({ ...withEpoch(from, { producerEpoch: 0, lastProducerEpoch }, initialized), producerId })

export const adding = (
  from: Transaction,
  partitions: Iterable<TopicPartition>,
  { clientTransactionVersion, nowMs }: { clientTransactionVersion: number; nowMs: number },
): Transaction =>
  change(from, {
    state: 'Ongoing',
    partitions: withPartitions(from.partitions, partitions),
    startTimestamp: isOver(from) ? nowMs : from.startTimestamp,
    lastUpdateTimestamp: nowMs,
    clientTransactionVersion,
  })

/**
 * Decides the transaction.
 * @param isFence By the coordinator itself: the producer must not go on with its epoch.
 * @param nextProducerId The producer id for the time after it, when this was the last epoch.
 */
export function deciding(
  from: Transaction,
  {
    committed,
    clientTransactionVersion,
    isFence,
    nextProducerId,
    nowMs,
  }: { committed: boolean; clientTransactionVersion: number; isFence: boolean; nextProducerId: number; nowMs: number },
): Transaction {
  const hasOwnEpoch = clientTransactionVersion >= TV_2
  const bumps = hasOwnEpoch || isFence
  return change(from, {
    state: committed ? 'PrepareCommit' : 'PrepareAbort',
    producerEpoch: bumps ? Math.min(from.producerEpoch + 1, MAX_EPOCH) : from.producerEpoch,
    lastProducerEpoch: hasOwnEpoch ? from.producerEpoch : isFence ? NO_EPOCH : from.lastProducerEpoch,
    nextProducerId,
    // An abort of nothing has no beginning; the record needs one.
    startTimestamp: from.state === 'Ongoing' ? from.startTimestamp : nowMs,
    partitions: from.state === 'Ongoing' ? from.partitions : noPartitions,
    lastUpdateTimestamp: nowMs,
    clientTransactionVersion,
  })
}

/** Every partition has its marker. */
export function completed(from: Transaction, nowMs: number): Transaction {
  const { nextProducerId } = from
  const isRotated = from.clientTransactionVersion >= TV_2 && nextProducerId !== NO_PRODUCER_ID
  return change(from, {
    state: from.state === 'PrepareCommit' ? 'CompleteCommit' : 'CompleteAbort',
    ...(isRotated ? { producerId: nextProducerId, producerEpoch: 0 } : {}),
    partitions: noPartitions,
    lastUpdateTimestamp: nowMs,
  })
}
