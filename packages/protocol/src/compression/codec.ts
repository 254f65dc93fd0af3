import { messageOf } from '@tidelog/core'
import { KafkaError } from '../errors.ts'

/** Kafka's codecs; the index of each is its id in a batch's attributes. */
export const codecNames = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const
export type CodecName = (typeof codecNames)[number]

export interface DecompressOptions {
  /** Decompression stops with an OutputLimitError as soon as the output would be longer; nothing is allocated because the input says so. */
  readonly maxOutputBytes: number
}

export interface CompressOptions {
  /** The codec's own level, as Kafka's compression.gzip.level, compression.lz4.level and compression.zstd.level; its default when absent. */
  readonly level?: number
}

/** One codec. What cannot be decompressed is an INVALID_RECORD: its batch had a valid CRC, so sending it again does not help. */
export interface Codec {
  compressSync(input: Buffer, options: CompressOptions): Buffer
  decompressSync(input: Buffer, options: DecompressOptions): Buffer
  /** As the two above, off the event loop; the input must not change meanwhile. */
  compress(input: Buffer, options: CompressOptions): Promise<Buffer>
  decompress(input: Buffer, options: DecompressOptions): Promise<Buffer>
}

/** The output is longer than the caller allows. */
export class OutputLimitError extends KafkaError {
  constructor(maxOutputBytes: number) {
    super('INVALID_RECORD', `decompressed records are larger than ${maxOutputBytes} bytes`)
  }
}

export function garbage(codec: CodecName, cause: unknown): KafkaError {
  const reason = messageOf(cause)
  return new KafkaError('INVALID_RECORD', `records cannot be decompressed with ${codec}: ${reason}`, { cause })
}
