/** LZ4: frames (lz4-frame.ts) whose blocks are made and read in WebAssembly, see wasm/lz4-encoder.wat and wasm/block-decoders.wat. */
import { type Codec, type CompressOptions, type DecompressOptions, garbage, OutputLimitError } from './codec.ts'
import { codecThread } from './codec-thread.ts'
import { DEFAULT_LZ4_LEVEL, lz4Encoder } from './lz4-encoder.ts'
import { checkContentSize, FrameBlocks, type FrameHeader, readHeader, withLegacyChecksum, withoutLegacyChecksum } from './lz4-frame.ts'
import { GARBAGE, MAX_SCRATCH_OUTPUT_BYTES, roomyScratch, type Scratch, scratchFor, TOO_LONG } from './scratch.ts'

/**
 * As `decompressSync`, into the thread's scratch: what is returned lasts until its next use.
 * @returns Undefined when input or output is too large for that.
 */
export function lz4IntoScratch(input: Buffer, { maxOutputBytes }: DecompressOptions): Buffer | undefined {
  const scratch = scratchFor(input)
  if (scratch === undefined) return undefined
  const header = readHeader(input)
  scratch.take(input)
  const limit = scratch.outputAt + Math.min(maxOutputBytes, MAX_SCRATCH_OUTPUT_BYTES)
  let outputAt = scratch.outputAt
  for (const block = new FrameBlocks(input, header); block.next(); ) {
    const outputEnd = decodeBlock(scratch, block, header, { inputAt: block.at, outputAt, left: limit - outputAt })
    if (outputEnd === TOO_LONG) {
      if (maxOutputBytes > MAX_SCRATCH_OUTPUT_BYTES) return undefined
      throw new OutputLimitError(maxOutputBytes)
    }
    outputAt = outputEnd
  }
  checkContentSize(header, outputAt - scratch.outputAt)
  return scratch.bytes.subarray(scratch.outputAt, outputAt)
}

/** Of any size, a block at a time. */
function decompressBlocks(input: Buffer, { maxOutputBytes }: DecompressOptions): Buffer {
  const header = readHeader(input)
  const scratch = roomyScratch()
  const parts: Buffer[] = []
  let left = maxOutputBytes
  for (const block = new FrameBlocks(input, header); block.next(); ) {
    scratch.take(input.subarray(block.at, block.end))
    const outputEnd = decodeBlock(scratch, block, header, { inputAt: 0, outputAt: scratch.outputAt, left })
    if (outputEnd === TOO_LONG) throw new OutputLimitError(maxOutputBytes)
    parts.push(Buffer.from(scratch.bytes.subarray(scratch.outputAt, outputEnd)))
    left -= outputEnd - scratch.outputAt
  }
  checkContentSize(header, maxOutputBytes - left)
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
}

/**
 * Decodes a block that lies at `inputAt` in the scratch.
 * @param left How much its output may be.
 * @returns Where the output ends; `TOO_LONG` when it would be more.
 */
function decodeBlock(
  { bytes, decoders }: Scratch,
  { at, end, isStored, checksum }: FrameBlocks,
  { largestBlock }: FrameHeader,
  { inputAt, outputAt, left }: { readonly inputAt: number; readonly outputAt: number; readonly left: number },
): number {
  const inputEnd = inputAt + end - at
  const room = Math.min(left, largestBlock)
  const outputEnd = isStored ? outputAt + end - at : decoders.lz4Block(inputAt, inputEnd, outputAt, outputAt + room)
  if (outputEnd === GARBAGE || (outputEnd === TOO_LONG && room < left)) throw garbage('lz4', 'a block is damaged')
  if (outputEnd === TOO_LONG || outputEnd > outputAt + left) return TOO_LONG
  if (isStored) bytes.copyWithin(outputAt, inputAt, inputEnd)
  if (checksum !== undefined && checksum !== decoders.xxHash32(inputAt, inputEnd) >>> 0) {
    throw garbage('lz4', 'block checksum does not fit')
  }
  return outputEnd
}

/** Inputs up to here are compressed at once, in a tenth of a millisecond: to hand them to the other thread takes almost as long. */
const SMALL_BYTES = 64 * 1024
/** The same at levels other than the default one, which take ten times as long and more. */
const SMALL_HIGH_BYTES = 4 * 1024

const isSmall = (input: Buffer, { level = DEFAULT_LZ4_LEVEL }: CompressOptions): boolean =>
  input.length <= (level === DEFAULT_LZ4_LEVEL ? SMALL_BYTES : SMALL_HIGH_BYTES)

export const lz4Codec: Codec = {
  compressSync: (input, { level }) => lz4Encoder().frame(input, level),
  async compress(input, options) {
    if (isSmall(input, options)) return lz4Codec.compressSync(input, options)
    return await codecThread.run({ codec: 'lz4', input, level: options.level ?? DEFAULT_LZ4_LEVEL })
  },
  decompressSync(input, options) {
    const passing = lz4IntoScratch(input, options)
    return passing === undefined ? decompressBlocks(input, options) : Buffer.from(passing)
  },
  async decompress(input, options) {
    const passing = lz4IntoScratch(input, options)
    return passing === undefined ? await codecThread.run({ codec: 'lz4', input, ...options }) : Buffer.from(passing)
  },
}

/** For messages of format v0: writes the old header checksum, reads both. */
export const legacyLz4Codec: Codec = {
  compressSync: (input, options) => withLegacyChecksum(lz4Codec.compressSync(input, options)),
  compress: async (input, options) => withLegacyChecksum(await lz4Codec.compress(input, options)),
  decompressSync: (input, options) => lz4Codec.decompressSync(withoutLegacyChecksum(input), options),
  decompress: async (input, options) => await lz4Codec.decompress(withoutLegacyChecksum(input), options),
}
