/**
 * Kafka's primitive encodings, big-endian, over one buffer (reader) or a growing list of buffers (writer).
 *
 *   int8 int16 int32 int64 uint16 uint32 float64   fixed width
 *   unsignedVarint   base-128, least significant group first, 32 bits in at most 5 bytes
 *   varint, varlong  zigzag of the same, 32 bits in at most 5 and 64 bits in at most 10 bytes
 *   uuid             16 bytes, a 22-character base64url string in our code
 *   string           UTF-8, what is none kept apart (see foreign-text.ts); its length travels before it, in a form that the message decides
 *
 * Source: Kafka protocol guide, "Protocol primitive types".
 */
import { bytesOfForeignText, isWellFormedText, textOfForeignBytes } from './foreign-text.ts'

const TWO_POW_27 = 2 ** 27
const TWO_POW_32 = 2 ** 32
const TWO_POW_55 = 2 ** 55

const UUID_BYTES = 16
const UUID_CHARS = 22

/** Chunks at least this long are kept by reference instead of being copied. */
const KEEP_BY_REFERENCE_BYTES = 1024
const FIRST_CHUNK_BYTES = 256
const MAX_CHUNK_BYTES = 64 * 1024

/** Below this a loop over char codes beats the call into the runtime. */
const SHORT_TEXT_CHARS = 24

/** The bytes do not hold what the format promises: too short, a bad length, an over-long varint. */
export class MalformedError extends Error {
  override readonly name = 'MalformedError'
}

/** Bytes that `text` takes in UTF-8. */
export function utf8Length(text: string): number {
  const length = Buffer.byteLength(text, 'utf8')
  return length === text.length || isWellFormedText(text) ? length : bytesOfForeignText(text).length
}

/**
 * Reads primitives one after the other; every read checks that its bytes are there and throws MalformedError otherwise.
 * Views that it hands out share memory with `buffer`.
 */
export class ByteReader {
  readonly buffer: Buffer
  /** Index of the next byte to read; may be set to anything between 0 and `end`. */
  position: number
  /** Index after the last byte that may be read. */
  readonly end: number
  /** Elements of arrays that may still come; without a bound unless it is set. */
  elementsLeft = Number.POSITIVE_INFINITY

  constructor(buffer: Buffer, position = 0, end = buffer.length) {
    if (position < 0 || end > buffer.length || position > end) {
      throw new RangeError(`reader bounds ${position}..${end} lie outside of a buffer of ${buffer.length} bytes`)
    }
    this.buffer = buffer
    this.position = position
    this.end = end
  }

  get remaining(): number {
    return this.end - this.position
  }

  int8(): number {
    return (this.buffer[this.#take(1)]! << 24) >> 24
  }

  int16(): number {
    const at = this.#take(2)
    const bytes = this.buffer
    return (((bytes[at]! << 8) | bytes[at + 1]!) << 16) >> 16
  }

  uint16(): number {
    const at = this.#take(2)
    const bytes = this.buffer
    return (bytes[at]! << 8) | bytes[at + 1]!
  }

  int32(): number {
    const at = this.#take(4)
    const bytes = this.buffer
    return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
  }

  uint32(): number {
    return this.int32() >>> 0
  }

  /** The nearest double: a value beyond ±(2^53−1) stays beyond it, so `Number.isSafeInteger` tells whether it is exact. */
  int64(): number {
    const high = this.int32()
    return high * TWO_POW_32 + this.uint32()
  }

  bigint64(): bigint {
    return this.buffer.readBigInt64BE(this.#take(8))
  }

  float64(): number {
    return this.buffer.readDoubleBE(this.#take(8))
  }

  /** Any byte but 0 is true, as in Kafka. */
  boolean(): boolean {
    return this.buffer[this.#take(1)] !== 0
  }

  /** 0 to 2^32−1. */
  unsignedVarint(): number {
    const bytes = this.buffer
    const end = this.end
    let at = this.position
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      if (at >= end) throw short(1, 0)
      const byte = bytes[at++]!
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) {
        if (shift === 28 && byte > 0x0f) break
        this.position = at
        return value >>> 0
      }
    }
    throw new MalformedError('varint is longer than 32 bits')
  }

  /** A signed 32-bit value. */
  varint(): number {
    const zigzag = this.unsignedVarint()
    return (zigzag >>> 1) ^ -(zigzag & 1)
  }

  /** A signed 64-bit value as the nearest double, exact and safe as `int64`. */
  varlong(): number {
    const bytes = this.buffer
    const end = this.end
    let at = this.position
    // Three groups that fit 32-bit arithmetic: bits 0-27, 28-55 and 56-63.
    let low = 0
    let middle = 0
    let high = 0
    for (let index = 0; index < 10; index++) {
      if (at >= end) throw short(1, 0)
      const byte = bytes[at++]!
      const bits = byte & 0x7f
      if (index < 4) low |= bits << (index * 7)
      else if (index < 8) middle |= bits << ((index - 4) * 7)
      else high |= bits << ((index - 8) * 7)
      if (byte < 0x80) {
        if (index === 9 && byte > 1) break
        this.position = at
        const magnitude = (low >>> 1) + middle * TWO_POW_27 + high * TWO_POW_55
        return (low & 1) === 0 ? magnitude : -magnitude - 1
      }
    }
    throw new MalformedError('varlong is longer than 64 bits')
  }

  /** An array of `count` elements begins: an element of two bytes becomes an object of a hundred, so whoever reads for strangers bounds them. */
  takeElements(count: number): void {
    this.elementsLeft -= count
    if (this.elementsLeft < 0) throw new MalformedError(`an array of ${count} elements is too much for one message`)
  }

  /** A view on the next `length` bytes. */
  bytes(length: number): Buffer {
    const at = this.#take(length)
    return this.buffer.subarray(at, at + length)
  }

  /** The next `length` bytes as text; where they are not UTF-8, text that no other bytes give, so that two byte strings never become one key. */
  string(length: number): string {
    const at = this.#take(length)
    const text = this.buffer.toString('utf8', at, at + length)
    // Decoding puts U+FFFD where the bytes are invalid; text that really holds one encodes back to the same length and bytes.
    if (text.includes('\ufffd') && !this.buffer.subarray(at, at + length).equals(Buffer.from(text, 'utf8'))) {
      return textOfForeignBytes(this.buffer.subarray(at, at + length))
    }
    return text
  }

  uuid(): string {
    const at = this.#take(UUID_BYTES)
    return this.buffer.toString('base64url', at, at + UUID_BYTES)
  }

  #take(length: number): number {
    const at = this.position
    if (length < 0) throw new MalformedError(`negative length ${length}`)
    if (length > this.end - at) throw short(length, this.end - at)
    this.position = at + length
    return at
  }
}

function short(wanted: number, left: number): MalformedError {
  return new MalformedError(`${wanted} bytes wanted, ${left} left`)
}

/**
 * Appends primitives to a list of chunks that never moves: nothing is copied when it grows, and long byte strings are kept by reference,
 * so they must not change until the result has been used. A value outside of its type is our own defect: RangeError.
 */
export class ByteWriter {
  #chunks: Buffer[] = []
  #chunksBytes = 0
  #current: Buffer
  /** What of `#current` is not yet in `#chunks` lies between these two. */
  #start = 0
  #position = 0

  /** @param expectedBytes How much will be written, roughly; saves growing. */
  constructor(expectedBytes = FIRST_CHUNK_BYTES) {
    this.#current = Buffer.allocUnsafe(Math.max(16, expectedBytes))
  }

  get byteLength(): number {
    return this.#chunksBytes + this.#position - this.#start
  }

  int8(value: number): void {
    if ((value << 24) >> 24 !== value) throw outOfRange('int8', value)
    const at = this.#reserve(1)
    this.#current[at] = value
  }

  int16(value: number): void {
    if ((value << 16) >> 16 !== value) throw outOfRange('int16', value)
    this.#write16(value)
  }

  uint16(value: number): void {
    if ((value & 0xffff) !== value) throw outOfRange('uint16', value)
    this.#write16(value)
  }

  int32(value: number): void {
    if ((value | 0) !== value) throw outOfRange('int32', value)
    this.#write32(value)
  }

  uint32(value: number): void {
    if (value >>> 0 !== value) throw outOfRange('uint32', value)
    this.#write32(value)
  }

  /** @throws RangeError for what is not a safe integer: it has been rounded somewhere, or is about to be. */
  int64(value: number): void {
    if (!Number.isSafeInteger(value)) throw outOfRange('safe int64', value)
    this.#write32(Math.floor(value / TWO_POW_32))
    this.#write32(value >>> 0)
  }

  bigint64(value: bigint): void {
    const at = this.#reserve(8)
    this.#current.writeBigInt64BE(value, at)
  }

  float64(value: number): void {
    const at = this.#reserve(8)
    this.#current.writeDoubleBE(value, at)
  }

  boolean(value: boolean): void {
    const at = this.#reserve(1)
    this.#current[at] = value ? 1 : 0
  }

  unsignedVarint(value: number): void {
    if (value >>> 0 !== value) throw outOfRange('unsigned varint', value)
    this.#writeVarint(value)
  }

  varint(value: number): void {
    if ((value | 0) !== value) throw outOfRange('varint', value)
    this.#writeVarint(((value << 1) ^ (value >> 31)) >>> 0)
  }

  /** @throws RangeError for what is not a safe integer. */
  varlong(value: number): void {
    if (!Number.isSafeInteger(value)) throw outOfRange('safe varlong', value)
    // Zigzag without 64-bit arithmetic: the magnitude doubled, its lowest bit the sign. It is split before it is doubled, where it is exact.
    const magnitude = value < 0 ? -value - 1 : value
    const high = Math.floor(magnitude / TWO_POW_27)
    let low = ((magnitude - high * TWO_POW_27) * 2 + (value < 0 ? 1 : 0)) | 0
    if (high === 0) {
      this.#writeVarint(low)
      return
    }
    for (let group = 0; group < 4; group++) {
      const at = this.#reserve(1)
      this.#current[at] = (low & 0x7f) | 0x80
      low >>>= 7
    }
    this.#writeVarint(high)
  }

  /** Long chunks are kept by reference, short ones copied. */
  bytes(chunk: Uint8Array): void {
    const length = chunk.byteLength
    if (length < KEEP_BY_REFERENCE_BYTES) {
      const at = this.#reserve(length)
      this.#current.set(chunk, at)
      return
    }
    this.#flushCurrent()
    this.#chunks.push(Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, length))
    this.#chunksBytes += length
  }

  /** UTF-8 without a length; text that was read from other bytes gives them again. */
  string(text: string): void {
    const length = Buffer.byteLength(text, 'utf8')
    if (length !== text.length && !isWellFormedText(text)) {
      this.bytes(bytesOfForeignText(text))
      return
    }
    const at = this.#reserve(length)
    const current = this.#current
    if (length === text.length && length < SHORT_TEXT_CHARS) {
      for (let index = 0; index < length; index++) current[at + index] = text.charCodeAt(index)
    } else {
      current.write(text, at, length, 'utf8')
    }
  }

  /** @throws RangeError for what is not 22 characters of base64url. */
  uuid(uuid: string): void {
    const at = this.#reserve(UUID_BYTES)
    if (uuid.length !== UUID_CHARS || this.#current.write(uuid, at, UUID_BYTES, 'base64url') !== UUID_BYTES) {
      throw new RangeError(`not a uuid in base64url: ${JSON.stringify(uuid)}`)
    }
  }

  /** Everything written so far, in order, ready for one gathered write. The writer may go on; what it adds appears in the next call's result only. */
  toBuffers(): Buffer[] {
    this.#flushCurrent()
    return [...this.#chunks]
  }

  /** As `toBuffers`, in one piece. */
  toBuffer(): Buffer {
    this.#flushCurrent()
    return this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks, this.#chunksBytes)
  }

  #write16(value: number): void {
    const at = this.#reserve(2)
    const current = this.#current
    current[at] = value >>> 8
    current[at + 1] = value
  }

  #write32(value: number): void {
    const at = this.#reserve(4)
    const current = this.#current
    current[at] = value >>> 24
    current[at + 1] = value >>> 16
    current[at + 2] = value >>> 8
    current[at + 3] = value
  }

  /** `value` is a non-negative integer below 2^32. */
  #writeVarint(value: number): void {
    let rest = value
    let at = this.#reserve(5)
    const current = this.#current
    while (rest > 0x7f) {
      current[at++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    current[at++] = rest
    this.#position = at
  }

  /** Makes room for `length` bytes in the current chunk and returns where they go. */
  #reserve(length: number): number {
    const at = this.#position
    if (at + length <= this.#current.length) {
      this.#position = at + length
      return at
    }
    this.#flushCurrent()
    const size = Math.max(length, Math.min(MAX_CHUNK_BYTES, this.#current.length * 2))
    this.#current = Buffer.allocUnsafe(size)
    this.#start = 0
    this.#position = length
    return 0
  }

  #flushCurrent(): void {
    if (this.#position === this.#start) return
    this.#chunks.push(this.#current.subarray(this.#start, this.#position))
    this.#chunksBytes += this.#position - this.#start
    this.#start = this.#position
  }
}

function outOfRange(type: string, value: number): RangeError {
  return new RangeError(`${value} is not a ${type}`)
}
