import { lz4EncoderWasm } from './lz4-encoder-wasm.ts'
import { BLOCK_SIZE_BYTES, STORED_BLOCK, WRITTEN_BLOCK_BYTES, writtenHeader } from './lz4-frame.ts'
import { instantiate, type WasmMemory } from './wasm.ts'

/** Kafka's default for compression.lz4.level. There as here it is the fast compressor's, and every other level one of the thorough compressor. */
export const DEFAULT_LZ4_LEVEL = 9
const MAX_LEVEL = 17

/**
 * Every level looks at twice as many places as the one below it. From 10 on they are the same, as they are from 12 on in the library that Kafka calls:
 * more finds nothing more in ordinary data, and bad input takes long enough as it is.
 */
const MOST_THOROUGH_LEVEL = 10
const attemptsOf = (level: number): number => 2 ** Math.min(level, MOST_THOROUGH_LEVEL)

interface BlockEncoder {
  readonly memory: WasmMemory
  /** Takes a block of at most 64 KiB. Returns where its output ends. */
  fast(at: number, end: number, outputAt: number): number
  /** As `fast`, with the best choice among the matches that `attempts` looks at earlier places find for every position. */
  high(at: number, end: number, outputAt: number, attempts: number): number
}

/** In the encoder's memory its own tables come first, then a block, then what is made of blocks until there is no room for another. */
const INPUT_AT = 0xb0100
const SPARE_BYTES = 64
const OUTPUT_AT = INPUT_AT + WRITTEN_BLOCK_BYTES + SPARE_BYTES
const MAX_BLOCK_OUTPUT_BYTES = BLOCK_SIZE_BYTES + WRITTEN_BLOCK_BYTES + Math.ceil(WRITTEN_BLOCK_BYTES / 255) + 16
const OUTPUT_END = OUTPUT_AT + 512 * 1024
const MEMORY_BYTES = OUTPUT_END + BLOCK_SIZE_BYTES + SPARE_BYTES

/** Writes LZ4 frames in a memory of its own, used again by every call. */
class Lz4Encoder {
  readonly #encoder = instantiate<BlockEncoder>(lz4EncoderWasm, MEMORY_BYTES)
  readonly #bytes = Buffer.from(this.#encoder.memory.buffer)

  /** @throws RangeError when there is no such level. */
  frame(input: Buffer, level = DEFAULT_LZ4_LEVEL): Buffer {
    if (!Number.isInteger(level) || level < 1 || level > MAX_LEVEL)
      throw new RangeError(`lz4 doesn't support given compression level: ${level}`)
    const bytes = this.#bytes
    const parts: Buffer[] = []
    bytes.set(writtenHeader, OUTPUT_AT)
    let to = OUTPUT_AT + writtenHeader.length
    for (let from = 0; from < input.length; from += WRITTEN_BLOCK_BYTES) {
      if (to + MAX_BLOCK_OUTPUT_BYTES > OUTPUT_END) {
        parts.push(Buffer.from(bytes.subarray(OUTPUT_AT, to)))
        to = OUTPUT_AT
      }
      to = this.#writeBlock(input.subarray(from, from + WRITTEN_BLOCK_BYTES), to, level)
    }
    bytes.writeUInt32LE(0, to)
    parts.push(Buffer.from(bytes.subarray(OUTPUT_AT, to + BLOCK_SIZE_BYTES)))
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
  }

  /** Returns where the block ends. */
  #writeBlock(block: Buffer, to: number, level: number): number {
    const bytes = this.#bytes
    bytes.set(block, INPUT_AT)
    const inputEnd = INPUT_AT + block.length
    const from = to + BLOCK_SIZE_BYTES
    const end =
      level === DEFAULT_LZ4_LEVEL
        ? this.#encoder.fast(INPUT_AT, inputEnd, from)
        : this.#encoder.high(INPUT_AT, inputEnd, from, attemptsOf(level))
    if (end - from < block.length) {
      bytes.writeUInt32LE(end - from, to)
      return end
    }
    bytes.copyWithin(from, INPUT_AT, inputEnd)
    bytes.writeUInt32LE(STORED_BLOCK + block.length, to)
    return from + block.length
  }
}

let encoder: Lz4Encoder | undefined

/** The thread's encoder, made on first use. */
export function lz4Encoder(): Lz4Encoder {
  encoder ??= new Lz4Encoder()
  return encoder
}
