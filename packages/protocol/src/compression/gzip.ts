import { promisify } from 'node:util'
import { constants, gunzip, gunzipSync, gzip, gzipSync } from 'node:zlib'
import { type Codec, type CompressOptions, type DecompressOptions, garbage, OutputLimitError } from './codec.ts'

const gzipAside = promisify(gzip)
const gunzipAside = promisify(gunzip)

const MIN_CHUNK_BYTES = 1024
const MAX_CHUNK_BYTES = 64 * 1024

/** zlib's output grows by chunks of this size; no more than a few times the input is claimed at once. */
function chunkSize(input: Buffer): number {
  return Math.min(MAX_CHUNK_BYTES, Math.max(MIN_CHUNK_BYTES, input.length * 4))
}

/** zlib takes no limit of 0: one byte more than allowed is caught below. */
function limits(input: Buffer, { maxOutputBytes }: DecompressOptions) {
  return { maxOutputLength: Math.max(1, maxOutputBytes), chunkSize: chunkSize(input) }
}

function withinLimit(output: Buffer, { maxOutputBytes }: DecompressOptions): Buffer {
  if (output.length > maxOutputBytes) throw new OutputLimitError(maxOutputBytes)
  return output
}

function asKafkaError(error: unknown, { maxOutputBytes }: DecompressOptions): Error {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return code === 'ERR_BUFFER_TOO_LARGE' ? new OutputLimitError(maxOutputBytes) : garbage('gzip', error)
}

function settings({ level = constants.Z_DEFAULT_COMPRESSION }: CompressOptions) {
  return { level }
}

export const gzipCodec: Codec = {
  compressSync: (input, options) => gzipSync(input, settings(options)),
  compress: (input, options) => gzipAside(input, settings(options)),
  decompressSync(input, options) {
    try {
      return withinLimit(gunzipSync(input, limits(input, options)), options)
    } catch (error) {
      throw asKafkaError(error, options)
    }
  },
  async decompress(input, options) {
    try {
      return withinLimit(await gunzipAside(input, limits(input, options)), options)
    } catch (error) {
      throw asKafkaError(error, options)
    }
  },
}
