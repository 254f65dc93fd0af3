/**
 * zstd: Node's own where it has it (22.15, 23.8 and later), else a WASM build of the reference library, which has to be loaded first
 * and works in one shot. So that an input cannot make it allocate at will, its frames are walked before: every block says how much it makes
 * at most. Source: RFC 8878.
 */
import { promisify } from 'node:util'
import * as zlib from 'node:zlib'
import { type Codec, type CompressOptions, type DecompressOptions, garbage, OutputLimitError } from './codec.ts'
import { codecThread } from './codec-thread.ts'
import { framesOf } from './zstd-frames.ts'
import { isWasmLoaded, loadWasm, wasmCompress, wasmDecompress } from './zstd-wasm.ts'

/** Kafka's default for compression.zstd.level, the library's own too. */
const DEFAULT_LEVEL = 3

type Zlib = typeof zlib & {
  zstdCompressSync(input: Buffer, options: object): Buffer
  zstdDecompressSync(input: Buffer, options: object): Buffer
  zstdCompress(input: Buffer, options: object, callback: (error: Error | null, output: Buffer) => void): void
  zstdDecompress(input: Buffer, options: object, callback: (error: Error | null, output: Buffer) => void): void
  constants: typeof zlib.constants & { ZSTD_c_compressionLevel: number }
}

function nativeCodec(native: Zlib): Codec {
  const compressAside = promisify(native.zstdCompress)
  const decompressAside = promisify(native.zstdDecompress)
  const settings = ({ level = DEFAULT_LEVEL }: CompressOptions) => ({ params: { [native.constants.ZSTD_c_compressionLevel]: level } })
  // zlib takes no limit of 0: a byte more than allowed is noticed at the end.
  const limits = (left: number) => ({ maxOutputLength: Math.max(1, left) })
  return {
    compressSync: (input, options) => native.zstdCompressSync(input, settings(options)),
    compress: (input, options) => compressAside(input, settings(options)),
    // Frame by frame: Node stops after the first one.
    decompressSync(input, options) {
      const parts: Buffer[] = []
      let left = options.maxOutputBytes
      for (const { bytes } of framesOf(input, options)) {
        const part = attempt(() => native.zstdDecompressSync(bytes, limits(left)), options)
        left -= part.length
        parts.push(part)
      }
      return joined(parts, left, options)
    },
    async decompress(input, options) {
      const parts: Buffer[] = []
      let left = options.maxOutputBytes
      for (const { bytes } of framesOf(input, options)) {
        const part = await decompressAside(bytes, limits(left)).catch((error: unknown) => {
          throw asKafkaError(error, options)
        })
        left -= part.length
        parts.push(part)
      }
      return joined(parts, left, options)
    },
  }
}

function asKafkaError(error: unknown, { maxOutputBytes }: DecompressOptions): Error {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return code === 'ERR_BUFFER_TOO_LARGE' ? new OutputLimitError(maxOutputBytes) : garbage('zstd', error)
}

function attempt(decompressFrame: () => Buffer, options: DecompressOptions): Buffer {
  try {
    return decompressFrame()
  } catch (error) {
    throw asKafkaError(error, options)
  }
}

function joined(parts: readonly Buffer[], left: number, { maxOutputBytes }: DecompressOptions): Buffer {
  if (left < 0) throw new OutputLimitError(maxOutputBytes)
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
}

/** Inputs up to here are worked on at once: a message to the other thread would take longer. */
const SMALL_BYTES = 8 * 1024
const SMALL_OUTPUT_BYTES = 256 * 1024

const wasmCodec: Codec = {
  compressSync(input, { level = DEFAULT_LEVEL }) {
    ensureLoaded()
    return wasmCompress(input, level)
  },
  decompressSync(input, options) {
    ensureLoaded()
    return wasmDecompress(input, options)
  },
  async compress(input, { level = DEFAULT_LEVEL }) {
    if (input.length > SMALL_BYTES) return await codecThread.run({ codec: 'zstd', input, level })
    await loadWasm()
    return wasmCompress(input, level)
  },
  async decompress(input, { maxOutputBytes }) {
    if (input.length > SMALL_BYTES || maxOutputBytes > SMALL_OUTPUT_BYTES)
      return await codecThread.run({ codec: 'zstd', input, maxOutputBytes })
    await loadWasm()
    return wasmDecompress(input, { maxOutputBytes })
  },
}

function ensureLoaded(): void {
  if (!isWasmLoaded()) throw new Error('zstd is not loaded yet: wait for prepareCodec before the first synchronous call')
}

function hasZstd(candidate: typeof zlib): candidate is Zlib {
  return 'zstdCompressSync' in candidate
}

const isNative = hasZstd(zlib)

/** True when the synchronous functions can be called. */
export function isZstdReady(): boolean {
  return isNative || isWasmLoaded()
}

export function prepareZstd(): Promise<void> {
  return isNative ? Promise.resolve() : loadWasm()
}

export const zstdCodec: Codec = hasZstd(zlib) ? nativeCodec(zlib) : wasmCodec
