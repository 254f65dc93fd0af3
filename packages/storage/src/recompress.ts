import type { Offload } from '@tidelog/core'
import { batchHeader, type CodecName, codecIdOf, compress, type OutputLimit, type RecordBatch, uncompressBatch } from '@tidelog/protocol'

export interface RecompressOptions extends OutputLimit {
  readonly codec: CodecName
  /** The codec's own level, its default when undefined. */
  readonly level: number | undefined
}

/**
 * A v2 batch with its records in another codec, as a topic with a compression.type of its own wants it. Offsets and timestamps of records are
 * differences to the header, so their bytes stay. @throws KafkaError INVALID_RECORD when the records cannot be decompressed.
 */
export async function recompress(
  batch: RecordBatch,
  { codec, level, maxOutputBytes }: RecompressOptions,
  offload: Offload,
): Promise<Buffer> {
  const plain = await uncompressBatch(batch, { maxOutputBytes }, offload)
  const compressed = (): Promise<Buffer> => compress(codec, plain, level === undefined ? {} : { level })
  const payload = codec === 'none' ? plain : await offload.run({ name: `compress ${codec}`, run: compressed })
  const bytes = Buffer.allocUnsafeSlow(batchHeader.BATCH_OVERHEAD_BYTES + payload.length)
  payload.copy(bytes, batchHeader.BATCH_OVERHEAD_BYTES)
  batchHeader.writeHeader(bytes, 0, bytes.length, {
    baseOffset: batch.baseOffset,
    partitionLeaderEpoch: batch.partitionLeaderEpoch,
    attributes: (batch.attributes & ~batchHeader.CODEC_MASK) | codecIdOf(codec),
    lastOffsetDelta: batch.lastOffsetDelta,
    baseTimestamp: batch.baseTimestamp,
    maxTimestamp: batch.maxTimestamp,
    producerId: batch.producerId,
    producerEpoch: batch.producerEpoch,
    baseSequence: batch.baseSequence,
    recordsCount: batch.recordsCount,
  })
  return bytes
}
