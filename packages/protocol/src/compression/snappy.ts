/**
 * Snappy as Kafka has it, which is the framing of the Java library (xerial), big-endian:
 *
 *    0  82 'SNAPPY' 00     magic
 *    8  int32 version 1, int32 oldest compatible version 1
 *   16  blocks: int32 length, then that many bytes of raw snappy, made of at most 32 KiB each
 *
 * Some clients write one raw snappy block without the framing; what does not start with the magic is read as such.
 * A raw block starts with the length of its output as a varint. Source: xerial/snappy-java, google/snappy format_description.
 */
import { onFirstUse } from '@tidelog/core'
import { type Codec, type DecompressOptions, garbage, OutputLimitError } from './codec.ts'
import { GARBAGE, MAX_SCRATCH_OUTPUT_BYTES, scratchFor } from './scratch.ts'

const native = onFirstUse<typeof import('snappy')>('snappy')

const MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00])
const HEADER = Buffer.concat([MAGIC, Buffer.from([0, 0, 0, 1, 0, 0, 0, 1])])
const BLOCK_BYTES = 32 * 1024

/** The densest element is a copy: 3 bytes that make 64. A block that claims more lies, and must not make us allocate. */
const MAX_RATIO = 22

/** Where the raw blocks lie. Each claims an output that its size makes possible, all together no more than is allowed. */
function blocksOf(input: Buffer, { maxOutputBytes }: DecompressOptions): Buffer[] {
  if (!input.subarray(0, MAGIC.length).equals(MAGIC)) {
    checkOutput(input, maxOutputBytes)
    return [input]
  }
  const blocks: Buffer[] = []
  let left = maxOutputBytes
  let at = HEADER.length
  while (at < input.length) {
    if (input.length - at >= HEADER.length && input.subarray(at, at + MAGIC.length).equals(MAGIC)) {
      at += HEADER.length // streams that were joined
      continue
    }
    if (input.length - at < 4) throw garbage('snappy', 'cut off inside of a block length')
    const length = input.readInt32BE(at)
    at += 4
    if (length < 0 || length > input.length - at) throw garbage('snappy', `block of ${length} bytes, ${input.length - at} left`)
    const block = input.subarray(at, at + length)
    left -= checkOutput(block, left)
    blocks.push(block)
    at += length
  }
  return blocks
}

/** Returns how much a raw block claims to hold. */
function checkOutput(block: Buffer, maxOutputBytes: number): number {
  const size = claimedSize(block)
  if (size > block.length * MAX_RATIO) throw garbage('snappy', `${block.length} bytes cannot hold ${size}`)
  if (size > maxOutputBytes) throw new OutputLimitError(maxOutputBytes)
  return size
}

function claimedSize(block: Buffer): number {
  let size = 0
  for (let index = 0; index < 5; index++) {
    const byte = block[index]
    if (byte === undefined) break
    size += (byte & 0x7f) * 2 ** (index * 7)
    if (byte < 0x80) return size
  }
  throw garbage('snappy', 'no length in front')
}

/**
 * As `decompressSync`, into the thread's scratch: what is returned lasts until its next use.
 * @returns Undefined when input or output is too large for that.
 */
export function snappyIntoScratch(input: Buffer, options: DecompressOptions): Buffer | undefined {
  const scratch = scratchFor(input)
  if (scratch === undefined) return undefined
  const blocks = blocksOf(input, options)
  let outputBytes = 0
  for (const block of blocks) outputBytes += claimedSize(block)
  if (outputBytes > MAX_SCRATCH_OUTPUT_BYTES) return undefined

  scratch.take(input)
  const { bytes, decoders, outputAt } = scratch
  let output = outputAt
  for (const block of blocks) {
    const at = block.byteOffset - input.byteOffset
    const outputEnd = output + claimedSize(block)
    if (decoders.snappyBlock(at + sizePrefixBytes(block), at + block.length, output, outputEnd) === GARBAGE) {
      throw garbage('snappy', 'a block is damaged')
    }
    output = outputEnd
  }
  return bytes.subarray(outputAt, output)
}

/** How many bytes the length in front takes. */
function sizePrefixBytes(block: Buffer): number {
  let bytes = 1
  while (block[bytes - 1]! >= 0x80) bytes++
  return bytes
}

function join(parts: Buffer[]): Buffer {
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
}

function* inputBlocks(input: Buffer): Generator<Buffer, void, undefined> {
  for (let at = 0; at < input.length; at += BLOCK_BYTES) yield input.subarray(at, at + BLOCK_BYTES)
}

function lengthOf(block: Buffer): Buffer {
  const prefix = Buffer.allocUnsafe(4)
  prefix.writeInt32BE(block.length)
  return prefix
}

const AS_BUFFER = { asBuffer: true }

export const snappyCodec: Codec = {
  compressSync(input) {
    const parts: Buffer[] = [HEADER]
    for (const block of inputBlocks(input)) {
      const compressed = native().compressSync(block)
      parts.push(lengthOf(compressed), compressed)
    }
    return Buffer.concat(parts)
  },
  async compress(input) {
    const parts: Buffer[] = [HEADER]
    for (const block of inputBlocks(input)) {
      const compressed = await native().compress(block)
      parts.push(lengthOf(compressed), compressed)
    }
    return Buffer.concat(parts)
  },
  decompressSync(input, options) {
    const blocks = blocksOf(input, options)
    try {
      return join(blocks.map((block) => native().uncompressSync(block, AS_BUFFER) as Buffer))
    } catch (error) {
      throw garbage('snappy', error)
    }
  },
  async decompress(input, options) {
    const blocks = blocksOf(input, options)
    const parts: Buffer[] = []
    try {
      for (const block of blocks) parts.push((await native().uncompress(block, AS_BUFFER)) as Buffer)
    } catch (error) {
      throw garbage('snappy', error)
    }
    return join(parts)
  },
}
