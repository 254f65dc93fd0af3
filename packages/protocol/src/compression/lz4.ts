/**
 * LZ4 frames, as Kafka writes them, little-endian:
 *
 *    0  04 22 4D 18        magic
 *    4  FLG                bits 7-6 version 01, 5 blocks are independent, 4 block checksums, 3 content size, 2 content checksum, 0 dictionary id
 *    5  BD                 bits 6-4 largest block: 4 = 64 KiB, 5 = 256 KiB, 6 = 1 MiB, 7 = 4 MiB
 *    6  [content size uint64]
 *       HC                 second byte of xxHash32 of the descriptor, which is FLG to content size
 *       blocks: uint32 size, highest bit set when stored uncompressed; the bytes; [checksum uint32]
 *       00 00 00 00        end mark, then [content checksum uint32]
 *
 * In messages of format v0 Kafka's first LZ4 code computed HC over magic and descriptor, and its readers still expect it there.
 * Source: lz4 frame format 1.6; KIP-57.
 */
import { onFirstUse } from '@tidelog/core'
import { type Codec, type DecompressOptions, garbage, OutputLimitError } from './codec.ts'
import { GARBAGE, MAX_SCRATCH_OUTPUT_BYTES, scratchFor, TOO_LONG } from './scratch.ts'
import { xxHash32 } from './xx-hash-32.ts'

const native = onFirstUse<typeof import('lz4-napi')>('lz4-napi')

const MAGIC = 0x184d2204
const MAGIC_BYTES = 4
const FLAGS_AT = 4
const DESCRIPTOR_BYTES = 2
const CONTENT_SIZE_AT = 6
const CONTENT_SIZE_BYTES = 8
const CHECKSUM_BYTES = 4

const VERSION_MASK = 0xc0
const VERSION_1 = 0x40
const BLOCKS_INDEPENDENT = 0x20
const BLOCK_CHECKSUMS = 0x10
const CONTENT_SIZE = 0x08
const CONTENT_CHECKSUM = 0x04
const RESERVED_FLAG = 0x02
const DICTIONARY_ID = 0x01
const RESERVED_IN_BLOCK_DESCRIPTOR = 0x8f

const UNCOMPRESSED_BLOCK = 0x80000000
const MIN_MATCH = 4

/** Position of HC: the byte after the descriptor. @throws KafkaError INVALID_RECORD when this is no frame that Kafka reads. */
function headerChecksumAt(frame: Buffer): number {
  if (frame.length < MAGIC_BYTES + DESCRIPTOR_BYTES + 1 || frame.readUInt32LE(0) !== MAGIC) throw garbage('lz4', 'no frame')
  const flags = frame[FLAGS_AT]!
  if ((flags & VERSION_MASK) !== VERSION_1) throw garbage('lz4', 'unknown version of the frame format')
  if ((flags & BLOCKS_INDEPENDENT) === 0) throw garbage('lz4', 'blocks that depend on each other are not supported')
  if ((flags & DICTIONARY_ID) !== 0) throw garbage('lz4', 'dictionaries are not supported')
  const at = MAGIC_BYTES + DESCRIPTOR_BYTES + ((flags & CONTENT_SIZE) === 0 ? 0 : CONTENT_SIZE_BYTES)
  if (at >= frame.length) throw garbage('lz4', 'cut off inside of the header')
  return at
}

function headerChecksum(frame: Buffer, at: number, from: number): number {
  return (xxHash32(frame.subarray(from, at)) >>> 8) & 0xff
}

/** Makes sure, before anything is decompressed, that the frame is whole and its output within the limit. */
function checkOutput(frame: Buffer, headerEnd: number, { maxOutputBytes }: DecompressOptions): void {
  // Counting every block as full is enough for honest input; only when that is too much are the sequences inside looked at.
  if (frameOutput(frame, headerEnd, false) <= maxOutputBytes) return
  if (frameOutput(frame, headerEnd, true) > maxOutputBytes) throw new OutputLimitError(maxOutputBytes)
}

function frameOutput(frame: Buffer, headerEnd: number, exact: boolean): number {
  const largestBlock = largestBlockOf(frame)
  const checksumBytes = (frame[FLAGS_AT]! & BLOCK_CHECKSUMS) === 0 ? 0 : CHECKSUM_BYTES
  let output = 0
  let at = headerEnd
  for (;;) {
    const { length, stored } = blockAt(frame, at, largestBlock)
    at += 4
    if (length === 0 && !stored) return output
    if (stored) output += length
    else output += exact ? blockOutput(frame, at, at + length) : largestBlock
    at += length + checksumBytes
  }
}

/** How much a block may make. */
function largestBlockOf(frame: Buffer): number {
  const blockSizeId = (frame[FLAGS_AT + 1]! >> 4) & 7
  if (blockSizeId < 4) throw garbage('lz4', `unknown block size ${blockSizeId}`)
  return 2 ** (8 + 2 * blockSizeId)
}

/** The four bytes ahead of a block: its length, 0 and not stored at the end mark. */
function blockAt(frame: Buffer, at: number, largestBlock: number): { length: number; stored: boolean } {
  if (frame.length - at < 4) throw garbage('lz4', 'cut off before the end mark')
  const word = frame.readUInt32LE(at)
  const stored = word >= UNCOMPRESSED_BLOCK
  const length = stored ? word - UNCOMPRESSED_BLOCK : word
  const left = frame.length - at - 4
  if (length > largestBlock || length > left) throw garbage('lz4', `block of ${length} bytes, ${left} left`)
  return { length, stored }
}

/** How much a compressed block makes: the sum of its literals and matches. */
function blockOutput(frame: Buffer, start: number, end: number): number {
  let output = 0
  let at = start
  while (at < end) {
    const token = frame[at++]!
    let literals = token >> 4
    if (literals === 15) {
      let byte = 255
      while (byte === 255 && at < end) {
        byte = frame[at++]!
        literals += byte
      }
    }
    output += literals
    at += literals
    if (at >= end) break // a block ends in literals
    at += 2
    let match = (token & 15) + MIN_MATCH
    if (match === 15 + MIN_MATCH) {
      let byte = 255
      while (byte === 255 && at < end) {
        byte = frame[at++]!
        match += byte
      }
    }
    output += match
  }
  return output
}

/** The frame ready for the library: within limits, with the header checksum that it expects. */
function checkedFrame(input: Buffer, options: DecompressOptions, legacyChecksum: boolean): Buffer {
  const at = headerChecksumAt(input)
  checkOutput(input, at + 1, options)
  const expected = headerChecksum(input, at, FLAGS_AT)
  if (input[at] === expected) return input
  if (!legacyChecksum || input[at] !== headerChecksum(input, at, 0)) throw wrongHeaderChecksum()
  const frame = Buffer.from(input)
  frame[at] = expected
  return frame
}

const wrongHeaderChecksum = () => garbage('lz4', 'header checksum does not fit')

/**
 * As `decompressSync`, into the thread's scratch: what is returned lasts until its next use. A content checksum must be there and is not held against
 * the output, as in Kafka: the batch's CRC-32C covers the same bytes, and hashing the output takes half as long as making it.
 * @returns Undefined when input or output is too large for that.
 */
export function lz4IntoScratch(input: Buffer, { maxOutputBytes }: DecompressOptions): Buffer | undefined {
  const scratch = scratchFor(input)
  if (scratch === undefined) return undefined
  const headerEnd = headerChecksumAt(input)
  if (input[headerEnd] !== headerChecksum(input, headerEnd, FLAGS_AT)) throw wrongHeaderChecksum()
  const flags = input[FLAGS_AT]!
  const blockDescriptor = input[FLAGS_AT + 1]!
  if ((flags & RESERVED_FLAG) !== 0 || (blockDescriptor & RESERVED_IN_BLOCK_DESCRIPTOR) !== 0) throw garbage('lz4', 'reserved bits are set')
  const largestBlock = largestBlockOf(input)
  const hasBlockChecksums = (flags & BLOCK_CHECKSUMS) !== 0

  scratch.take(input)
  const { bytes, decoders, outputAt } = scratch
  const hashOf = (start: number, end: number): number => decoders.xxHash32(start, end) >>> 0
  const limit = outputAt + Math.min(maxOutputBytes, MAX_SCRATCH_OUTPUT_BYTES)
  let output = outputAt
  let at = headerEnd + 1
  for (;;) {
    const { length, stored } = blockAt(input, at, largestBlock)
    at += 4
    if (length === 0 && !stored) break
    const end = at + length
    const blockLimit = Math.min(limit, output + largestBlock)
    const outputEnd = stored ? output + length : decoders.lz4Block(at, end, output, blockLimit)
    if (outputEnd === GARBAGE || (outputEnd === TOO_LONG && blockLimit < limit)) throw garbage('lz4', 'a block is damaged')
    if (outputEnd === TOO_LONG || outputEnd > limit) {
      if (maxOutputBytes > MAX_SCRATCH_OUTPUT_BYTES) return undefined
      throw new OutputLimitError(maxOutputBytes)
    }
    if (stored) bytes.copyWithin(output, at, end)
    if (hasBlockChecksums && checksumAt(input, end) !== hashOf(at, end)) throw garbage('lz4', 'block checksum does not fit')
    output = outputEnd
    at = end + (hasBlockChecksums ? CHECKSUM_BYTES : 0)
  }
  if ((flags & CONTENT_CHECKSUM) !== 0) checksumAt(input, at)
  if ((flags & CONTENT_SIZE) !== 0) {
    const promised = input.readUInt32LE(CONTENT_SIZE_AT) + input.readUInt32LE(CONTENT_SIZE_AT + 4) * 2 ** 32
    if (promised !== output - outputAt) throw garbage('lz4', `${output - outputAt} bytes where the header promises ${promised}`)
  }
  return bytes.subarray(outputAt, output)
}

function checksumAt(frame: Buffer, at: number): number {
  if (frame.length - at < CHECKSUM_BYTES) throw garbage('lz4', 'cut off inside of a checksum')
  return frame.readUInt32LE(at)
}

function withLegacyChecksum(frame: Buffer): Buffer {
  const at = headerChecksumAt(frame)
  frame[at] = headerChecksum(frame, at, 0)
  return frame
}

function lz4Frames(legacyChecksum: boolean): Codec {
  const finish = legacyChecksum ? withLegacyChecksum : (frame: Buffer) => frame
  return {
    compressSync: (input) => finish(native().compressFrameSync(input)),
    compress: async (input) => finish(await native().compressFrame(input)),
    decompressSync(input, options) {
      const frame = checkedFrame(input, options, legacyChecksum)
      try {
        return native().decompressFrameSync(frame)
      } catch (error) {
        throw garbage('lz4', error)
      }
    },
    async decompress(input, options) {
      const frame = checkedFrame(input, options, legacyChecksum)
      try {
        return await native().decompressFrame(frame)
      } catch (error) {
        throw garbage('lz4', error)
      }
    },
  }
}

export const lz4Codec = lz4Frames(false)

/** For messages of format v0: writes the old header checksum, reads both. */
export const legacyLz4Codec = lz4Frames(true)
