import { ByteReader, libuvOffload, type Offload } from '@tidelog/core'
import { batchAt, iterateBatches, readRecords, transactionLogValue, uncompressBatch } from '@tidelog/protocol'
import type { Log } from './log.ts'
import type { LogManager } from './log-manager.ts'

const TRANSACTION_TOPIC = '__transaction_state'
const READ_BYTES = 1024 * 1024
const MAX_RECORD_BYTES = 64 * 1024 * 1024

export interface AdoptedPartition {
  readonly partition: number
  /** From partition.metadata; undefined where there is none. */
  readonly topicId: string | undefined
  /** -1 when the log knows none. */
  readonly latestEpoch: number
}

/** What a log dir tells of the cluster that wrote it, beside meta.properties. */
export interface AdoptionFacts {
  /** Partitions that are here, by topic, in order. */
  readonly topics: ReadonlyMap<string, readonly AdoptedPartition[]>
  readonly highestLeaderEpoch: number
  /** The largest producer id in any batch, snapshot or transaction; -1 when there is none. */
  readonly highestProducerId: number
  readonly leftAlone: readonly { readonly dir: string; readonly folder: string }[]
}

/** Looks through everything the log dirs hold, once, when a directory that another broker wrote is taken over. Reads every batch header. */
export async function adoptionFacts(manager: LogManager, offload: Offload = libuvOffload()): Promise<AdoptionFacts> {
  const topics = new Map<string, AdoptedPartition[]>()
  let highestLeaderEpoch = -1
  let highestProducerId = -1
  for (const log of manager.logs()) {
    const partitions = topics.get(log.topic) ?? []
    topics.set(log.topic, partitions)
    partitions.push({ partition: log.partition, topicId: log.topicId, latestEpoch: log.latestEpoch })
    highestLeaderEpoch = Math.max(highestLeaderEpoch, log.latestEpoch)
    highestProducerId = Math.max(highestProducerId, log.producers.highestProducerId, await highestProducerIdIn(log, offload))
  }
  for (const partitions of topics.values()) partitions.sort((first, second) => first.partition - second.partition)
  return { topics, highestLeaderEpoch, highestProducerId, leftAlone: manager.leftAlone }
}

async function highestProducerIdIn(log: Log, offload: Offload): Promise<number> {
  let highest = -1
  let startOffset = log.logStartOffset
  const { logEndOffset } = log
  while (startOffset < logEndOffset) {
    const { records } = await log.read({ startOffset, maxBytes: READ_BYTES, endOffset: logEndOffset, atLeastOneBatch: true })
    if (records.length === 0) break
    for (const batch of iterateBatches(records)) {
      if (batch.magic !== 2) {
        startOffset = batch.baseOffset + 1
        continue
      }
      startOffset = batch.lastOffset + 1
      highest = Math.max(highest, batch.producerId)
      if (log.topic === TRANSACTION_TOPIC && !batch.isControl) {
        highest = Math.max(highest, await highestProducerIdOfTransactions(batch.bytes, offload))
      }
    }
  }
  return highest
}

async function highestProducerIdOfTransactions(bytes: Buffer, offload: Offload): Promise<number> {
  const batch = batchAt(bytes, 0, bytes.length)!
  const uncompressed = await uncompressBatch(batch, { maxOutputBytes: MAX_RECORD_BYTES }, offload)
  let highest = -1
  for (const { value } of readRecords(batch, { maxOutputBytes: MAX_RECORD_BYTES, uncompressed })) {
    if (value === null || value.length < 2) continue
    const version = value.readInt16BE(0)
    if (version < 0 || version > 1) continue // a later Kafka's; its producer ids are in the batches of its transactions
    const { producerId, nextProducerId } = transactionLogValue.codec(version).read(new ByteReader(value, 2))
    highest = Math.max(highest, producerId, nextProducerId)
  }
  return highest
}
