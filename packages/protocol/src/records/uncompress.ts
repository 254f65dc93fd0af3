import type { Offload } from '@tidelog/core'
import {
  type CodecName,
  codecById,
  decompress,
  decompressInPassing,
  decompressSync,
  isCodecReady,
  OutputLimitError,
} from '../compression/index.ts'

export interface OutputLimit {
  /** Compressed records must not hold more than this; what does is an INVALID_RECORD. */
  readonly maxOutputBytes: number
}

/** Up to here the decoders of LZ4 and snappy take less than a millisecond, and a copy of their output costs less than the way to another thread. */
const MAX_PASSING_INPUT_BYTES = 256 * 1024
/** Smaller inputs of other codecs are decompressed on the event loop, as long as their output stays small too. */
const MAX_SYNC_INPUT_BYTES = 16 * 1024
const MAX_SYNC_OUTPUT_BYTES = 512 * 1024

/**
 * Records as they travel, uncompressed: at once when there is little or nothing to do, else by `offload`.
 * @param magic Of the batch or message they are from.
 * @throws KafkaError INVALID_RECORD.
 */
export function uncompress(
  payload: Buffer,
  { codecId, magic, maxOutputBytes }: OutputLimit & { readonly codecId: number; readonly magic: number },
  offload: Offload,
): Buffer | Promise<Buffer> {
  const codec = codecById(codecId)
  if (codec === 'none') return payload
  const options = { maxOutputBytes, magic }
  if (magic === 2 && payload.length <= MAX_PASSING_INPUT_BYTES) {
    const passing = decompressInPassing(codec, payload, options)
    if (passing !== undefined) return Buffer.from(passing)
  }
  if (payload.length <= MAX_SYNC_INPUT_BYTES && isCodecReady(codec)) {
    const output = trySmallOutput(codec, payload, options)
    if (output !== undefined) return output
  }
  return offload.run({ name: `decompress ${codec}`, run: () => decompress(codec, payload, options) })
}

function trySmallOutput(codec: CodecName, payload: Buffer, options: OutputLimit & { readonly magic: number }): Buffer | undefined {
  const { maxOutputBytes } = options
  try {
    return decompressSync(codec, payload, { ...options, maxOutputBytes: Math.min(maxOutputBytes, MAX_SYNC_OUTPUT_BYTES) })
  } catch (error) {
    if (error instanceof OutputLimitError && maxOutputBytes > MAX_SYNC_OUTPUT_BYTES) return undefined
    throw error
  }
}

/** `next(value)`, now or when the promise resolves: most batches are small, and a promise for each would cost more than they do. */
export function andThen<T, R>(value: T | Promise<T>, next: (value: T) => R | Promise<R>): R | Promise<R> {
  return value instanceof Promise ? value.then(next) : next(value)
}
