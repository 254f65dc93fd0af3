/** The WASM build of zstd, for a Node whose zlib has none. It works in one shot, into room that it is told to make. */
import { compress, decompress, init } from '@bokuweb/zstd-wasm'
import { type DecompressOptions, garbage, OutputLimitError } from './codec.ts'
import { framesOf, type ZstdFrame } from './zstd-frames.ts'

/** What the library answers when the output does not fit: ZSTD_error_dstSize_tooSmall. */
const TOO_SMALL = /code -70$/

const FIRST_OUTPUT_BYTES = 64 * 1024
const FIRST_OUTPUT_RATIO = 8

let loading: Promise<void> | undefined
let loaded = false

export function isWasmLoaded(): boolean {
  return loaded
}

/** Loads the library, once a thread; it takes some 10 ms. */
export function loadWasm(): Promise<void> {
  loading ??= init().then(() => {
    loaded = true
  })
  return loading
}

export function wasmCompress(input: Uint8Array, level: number): Buffer {
  return asBuffer(compress(input, level))
}

export function wasmDecompress(input: Buffer, options: DecompressOptions): Buffer {
  const parts: Buffer[] = []
  let left = options.maxOutputBytes
  for (const frame of framesOf(input, options)) {
    const part = decompressFrame(frame, left, options)
    left -= part.length
    parts.push(part)
  }
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
}

/** Room is made for what the frame promises, which has been checked, or step by step: what a frame could hold at most is far more than it does hold. */
function decompressFrame(frame: ZstdFrame, left: number, { maxOutputBytes }: DecompressOptions): Buffer {
  if (frame.contentSize !== undefined && frame.contentSize > left) throw new OutputLimitError(maxOutputBytes)
  const most = Math.min(left, frame.maxOutputBytes)
  let room = frame.contentSize ?? Math.min(most, Math.max(FIRST_OUTPUT_BYTES, frame.bytes.length * FIRST_OUTPUT_RATIO))
  for (;;) {
    try {
      return asBuffer(decompress(frame.bytes, { defaultHeapSize: room }))
    } catch (error) {
      if (!(error instanceof Error && TOO_SMALL.test(error.message)) || frame.contentSize !== undefined) throw garbage('zstd', error)
      if (room >= most) throw most < frame.maxOutputBytes ? new OutputLimitError(maxOutputBytes) : garbage('zstd', error)
      room = Math.min(most, room * 4)
    }
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
