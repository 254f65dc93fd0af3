import type { TransactionOfWrite } from '@tidelog/coordinator'
import { iterateBatches } from '@tidelog/protocol'
import { VerificationGuard } from '@tidelog/storage'
import type { Partition } from '../replicas/partition.ts'

/** The partition of an internal topic that a coordinator keeps its state in, as far as it needs it. */
export interface CoordinatorLog {
  /** What a batch may not exceed. */
  readonly maxBatchBytes: number
  /**
   * Appends one batch; calls take effect in order. Resolves when it lies below the high watermark.
   * @param transaction Whose batch it is, when a producer's.
   * @throws KafkaError when it does not, or not in time.
   */
  append(batch: Buffer, transaction?: TransactionOfWrite): Promise<void>
  /** Every batch from the log's start to its end at the time of the call, in runs of about `maxBytes`. @throws KafkaError */
  read(maxBytes: number): AsyncIterable<readonly Buffer[]>
}

/** @param commitTimeoutMs How long an append may wait for the in-sync replicas. */
export function partitionLog(partition: Partition, { commitTimeoutMs }: { commitTimeoutMs: number }): CoordinatorLog {
  return {
    get maxBatchBytes() {
      return partition.log.config['max.message.bytes']
    },
    async append(batch, transaction) {
      const given = transaction?.guard
      const guard = given instanceof VerificationGuard || given === null ? given : undefined
      await partition.append(batch, { acks: -1, timeoutMs: commitTimeoutMs, origin: 'coordinator', guard })
    },
    async *read(maxBytes) {
      const endOffset = partition.logEndOffset
      let fetchOffset = partition.log.logStartOffset
      while (fetchOffset < endOffset) {
        const { records } = await partition.read({ fetchOffset, maxBytes, minOneBatch: true, isolation: 'log_end' })
        const next = nextOffset(records)
        // Compaction may have left nothing up to the end.
        if (next === undefined || next <= fetchOffset) return
        fetchOffset = next
        yield records
      }
    },
  }
}

function nextOffset(chunks: readonly Buffer[]): number | undefined {
  let next: number | undefined
  for (const chunk of chunks) for (const batch of iterateBatches(chunk)) next = batch.nextOffset
  return next
}
