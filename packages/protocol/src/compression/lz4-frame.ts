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
import { garbage } from './codec.ts'
import { xxHash32 } from './xx-hash-32.ts'

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
const BLOCKS_OF_64_KIB = 0x40

/** Set in the size of a block that is stored as it is. */
export const STORED_BLOCK = 0x80000000
export const BLOCK_SIZE_BYTES = 4
/** What Kafka's frames are cut into, and so ours. */
export const WRITTEN_BLOCK_BYTES = 64 * 1024
export const LARGEST_BLOCK_BYTES = 4 * 1024 * 1024

/** What every frame begins with that we write: no checksums, no content size, as Kafka has it. */
export const writtenHeader = Buffer.alloc(MAGIC_BYTES + DESCRIPTOR_BYTES + 1)
writtenHeader.writeUInt32LE(MAGIC)
writtenHeader[FLAGS_AT] = VERSION_1 | BLOCKS_INDEPENDENT
writtenHeader[FLAGS_AT + 1] = BLOCKS_OF_64_KIB
writtenHeader[CONTENT_SIZE_AT] = headerChecksum(writtenHeader, CONTENT_SIZE_AT, FLAGS_AT)

/** The header checksum of format v0, in a frame of ours. */
export function withLegacyChecksum(frame: Buffer): Buffer {
  frame[CONTENT_SIZE_AT] = headerChecksum(frame, CONTENT_SIZE_AT, 0)
  return frame
}

/** A copy with the header checksum of newer formats, when the frame has that of format v0; else the frame itself. */
export function withoutLegacyChecksum(frame: Buffer): Buffer {
  const at = headerChecksumAt(frame)
  const checksum = headerChecksum(frame, at, FLAGS_AT)
  if (frame[at] === checksum || frame[at] !== headerChecksum(frame, at, 0)) return frame
  const changed = Buffer.from(frame)
  changed[at] = checksum
  return changed
}

export interface FrameHeader {
  /** Where the blocks begin. */
  readonly end: number
  readonly largestBlock: number
  readonly hasBlockChecksums: boolean
  readonly hasContentChecksum: boolean
  readonly contentSize: number | undefined
}

/** @throws KafkaError INVALID_RECORD when this is no frame that Kafka reads. */
export function readHeader(frame: Buffer): FrameHeader {
  const checksumAt = headerChecksumAt(frame)
  const flags = frame[FLAGS_AT]!
  const blockDescriptor = frame[FLAGS_AT + 1]!
  if ((flags & RESERVED_FLAG) !== 0 || (blockDescriptor & RESERVED_IN_BLOCK_DESCRIPTOR) !== 0) throw garbage('lz4', 'reserved bits are set')
  const blockSizeId = blockDescriptor >> 4
  if (blockSizeId < 4) throw garbage('lz4', `unknown block size ${blockSizeId}`)
  if (frame[checksumAt] !== headerChecksum(frame, checksumAt, FLAGS_AT)) throw garbage('lz4', 'header checksum does not fit')
  const hasContentSize = (flags & CONTENT_SIZE) !== 0
  return {
    end: checksumAt + 1,
    largestBlock: 2 ** (8 + 2 * blockSizeId),
    hasBlockChecksums: (flags & BLOCK_CHECKSUMS) !== 0,
    hasContentChecksum: (flags & CONTENT_CHECKSUM) !== 0,
    contentSize: hasContentSize ? frame.readUInt32LE(CONTENT_SIZE_AT) + frame.readUInt32LE(CONTENT_SIZE_AT + 4) * 2 ** 32 : undefined,
  }
}

/** Position of HC: the byte after the descriptor. @throws KafkaError INVALID_RECORD when this is no frame that Kafka reads. */
function headerChecksumAt(frame: Buffer): number {
  if (frame.length < MAGIC_BYTES + DESCRIPTOR_BYTES + 1 || frame.readUInt32LE(0) !== MAGIC) throw garbage('lz4', 'no frame')
  const flags = frame[FLAGS_AT]!
  if ((flags & VERSION_MASK) !== VERSION_1) throw garbage('lz4', 'unknown version of the frame format')
  if ((flags & BLOCKS_INDEPENDENT) === 0) throw garbage('lz4', 'blocks that depend on each other are not supported')
  if ((flags & DICTIONARY_ID) !== 0) throw garbage('lz4', 'dictionaries are not supported')
  const at = CONTENT_SIZE_AT + ((flags & CONTENT_SIZE) === 0 ? 0 : CONTENT_SIZE_BYTES)
  if (at >= frame.length) throw garbage('lz4', 'cut off inside of the header')
  return at
}

function headerChecksum(frame: Buffer, at: number, from: number): number {
  return (xxHash32(frame.subarray(from, at)) >>> 8) & 0xff
}

/** Goes through the blocks of a frame. By hand: a generator would cost a small batch more than its block does. */
export class FrameBlocks {
  /** Where the present block's bytes lie in the frame. */
  at = 0
  end = 0
  isStored = false
  /** What the frame says of these bytes. */
  checksum: number | undefined
  readonly #frame: Buffer
  readonly #header: FrameHeader
  #next: number

  constructor(frame: Buffer, header: FrameHeader) {
    this.#frame = frame
    this.#header = header
    this.#next = header.end
  }

  /**
   * False at the end mark. A content checksum must be there and is not held against the output, as in Kafka: the batch's CRC-32C covers the same
   * bytes, and hashing the output takes half as long as making it.
   * @throws KafkaError INVALID_RECORD when a block, the end mark or what follows it is cut off.
   */
  next(): boolean {
    const frame = this.#frame
    const { largestBlock, hasBlockChecksums, hasContentChecksum } = this.#header
    if (frame.length - this.#next < BLOCK_SIZE_BYTES) throw garbage('lz4', 'cut off before the end mark')
    const word = frame.readUInt32LE(this.#next)
    this.at = this.#next + BLOCK_SIZE_BYTES
    if (word === 0) {
      if (hasContentChecksum) checksumAt(frame, this.at)
      return false
    }
    this.isStored = word >= STORED_BLOCK
    const length = this.isStored ? word - STORED_BLOCK : word
    const left = frame.length - this.at
    if (length > largestBlock || length > left) throw garbage('lz4', `block of ${length} bytes, ${left} left`)
    this.end = this.at + length
    this.checksum = hasBlockChecksums ? checksumAt(frame, this.end) : undefined
    this.#next = this.end + (hasBlockChecksums ? CHECKSUM_BYTES : 0)
    return true
  }
}

/** @throws KafkaError INVALID_RECORD when the header promises another one. */
export function checkContentSize({ contentSize }: FrameHeader, bytes: number): void {
  if (contentSize !== undefined && contentSize !== bytes) throw garbage('lz4', `${bytes} bytes where the header promises ${contentSize}`)
}

function checksumAt(frame: Buffer, at: number): number {
  if (frame.length - at < CHECKSUM_BYTES) throw garbage('lz4', 'cut off inside of a checksum')
  return frame.readUInt32LE(at)
}
