/**
 * The outline of zstd data, little-endian, read without decompressing. A frame:
 *
 *    0  28 B5 2F FD        magic
 *    4  descriptor         bits 7-6 width of the content size (0, 2, 4 or 8 bytes; 1 instead of 0 in a single segment),
 *                          5 single segment: no window byte, 2 content checksum, 1-0 width of the dictionary id (0, 1, 2 or 4 bytes)
 *    5  [window] [dictionary id] [content size]
 *       blocks: 3 bytes: bit 0 last, bits 1-2 type (0 raw, 1 one byte repeated, 2 compressed), bits 3-23 size
 *       [checksum uint32]
 *
 * Between frames there may be skippable ones: 50-5F 2A 4D 18, uint32 size, content. Source: RFC 8878, section 3.
 */
import { type DecompressOptions, garbage, OutputLimitError } from './codec.ts'

const MAGIC = 0xfd2fb528
const SKIPPABLE_MAGIC = 0x184d2a50
const MAX_BLOCK_BYTES = 128 * 1024

export interface ZstdFrame {
  readonly bytes: Buffer
  /** What the header promises, undefined when it does not. */
  readonly contentSize: number | undefined
  /** The frame cannot make more than this. */
  readonly maxOutputBytes: number
}

/**
 * The frames of `input` in order.
 * @throws KafkaError INVALID_RECORD when they are cut off or none; OutputLimitError when they promise more than is allowed.
 */
export function framesOf(input: Buffer, { maxOutputBytes }: DecompressOptions): ZstdFrame[] {
  const frames: ZstdFrame[] = []
  let promised = 0
  let at = 0
  while (at < input.length) {
    need(input, at, 8)
    const magic = input.readUInt32LE(at)
    if ((magic & ~0x0f) >>> 0 === SKIPPABLE_MAGIC) {
      const length = 8 + input.readUInt32LE(at + 4)
      need(input, at, length)
      at += length
      continue
    }
    if (magic !== MAGIC) throw garbage('zstd', 'no frame')
    const frame = frameAt(input, at)
    promised += frame.contentSize ?? 0
    if (promised > maxOutputBytes) throw new OutputLimitError(maxOutputBytes)
    frames.push(frame)
    at += frame.bytes.length
  }
  if (frames.length === 0) throw garbage('zstd', 'no frame')
  return frames
}

function frameAt(input: Buffer, start: number): ZstdFrame {
  const descriptor = input[start + 4]!
  const singleSegment = (descriptor & 0x20) !== 0
  let at = start + 5
  let window = MAX_BLOCK_BYTES
  if (!singleSegment) {
    const byte = input[at++]!
    window = 2 ** (10 + (byte >> 3)) * (1 + (byte & 7) / 8)
  }
  at += [0, 1, 2, 4][descriptor & 3]!
  const sizeBytes = [singleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6]!
  need(input, at, sizeBytes)
  const contentSize = contentSizeAt(input, at, sizeBytes)
  at += sizeBytes

  const largestBlock = Math.min(MAX_BLOCK_BYTES, singleSegment ? (contentSize ?? MAX_BLOCK_BYTES) : window)
  let output = 0
  for (let last = false; !last; ) {
    need(input, at, 3)
    const header = input.readUIntLE(at, 3)
    const size = header >> 3
    const type = (header >> 1) & 3
    last = (header & 1) === 1
    if (type === 3 || size > MAX_BLOCK_BYTES) throw garbage('zstd', 'impossible block')
    const stored = type === 1 ? 1 : size
    need(input, at + 3, stored)
    output += type === 2 ? largestBlock : size
    at += 3 + stored
  }
  if ((descriptor & 0x04) !== 0) {
    need(input, at, 4)
    at += 4
  }
  if (contentSize !== undefined && contentSize > output) throw garbage('zstd', `blocks cannot hold the ${contentSize} bytes promised`)
  return { bytes: input.subarray(start, at), contentSize, maxOutputBytes: contentSize ?? output }
}

function contentSizeAt(input: Buffer, at: number, sizeBytes: number): number | undefined {
  switch (sizeBytes) {
    case 0:
      return undefined
    case 1:
      return input[at]!
    case 2:
      return input.readUInt16LE(at) + 256
    case 4:
      return input.readUInt32LE(at)
    default:
      return input.readUInt32LE(at) + input.readUInt32LE(at + 4) * 2 ** 32
  }
}

function need(input: Buffer, at: number, length: number): void {
  if (at + length > input.length) throw garbage('zstd', 'cut off')
}
