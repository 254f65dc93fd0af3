/**
 * Varints read at a position of a plain buffer, for the walk over records: no object, no allocation. Where the varint ends is left in
 * `nextPosition`, so read that before the next call.
 */
import { KafkaError } from '../errors.ts'

const TWO_POW_27 = 2 ** 27
const TWO_POW_55 = 2 ** 55

export let nextPosition = 0

/** A zigzag varint of 32 bits that ends at or before `end`. @throws KafkaError INVALID_RECORD when it does not, or is too long. */
export function varintAt(buffer: Buffer, at: number, end: number): number {
  if (at < end) {
    const first = buffer[at]!
    if (first < 0x80) {
      nextPosition = at + 1
      return (first >>> 1) ^ -(first & 1)
    }
    if (at + 1 < end) {
      const second = buffer[at + 1]!
      if (second < 0x80) {
        nextPosition = at + 2
        const zigzag = (first & 0x7f) | (second << 7)
        return (zigzag >>> 1) ^ -(zigzag & 1)
      }
    }
  }
  return longerVarintAt(buffer, at, end)
}

function longerVarintAt(buffer: Buffer, at: number, end: number): number {
  let position = at
  let zigzag = 0
  for (let shift = 0; shift < 35; shift += 7) {
    if (position >= end) throw ended()
    const byte = buffer[position++]!
    zigzag |= (byte & 0x7f) << shift
    if (byte < 0x80) {
      if (shift === 28 && byte > 0x0f) break
      nextPosition = position
      return (zigzag >>> 1) ^ -(zigzag & 1)
    }
  }
  throw new KafkaError('INVALID_RECORD', 'Found invalid record structure: varint is longer than 32 bits')
}

/** A zigzag varint of 64 bits as the nearest double; an unsafe value stays unsafe. */
export function varlongAt(buffer: Buffer, at: number, end: number): number {
  if (at < end) {
    const first = buffer[at]!
    if (first < 0x80) {
      nextPosition = at + 1
      return (first >>> 1) ^ -(first & 1)
    }
  }
  return longerVarlongAt(buffer, at, end)
}

function longerVarlongAt(buffer: Buffer, at: number, end: number): number {
  let position = at
  let low = 0
  let middle = 0
  let high = 0
  for (let index = 0; index < 10; index++) {
    if (position >= end) throw ended()
    const byte = buffer[position++]!
    const bits = byte & 0x7f
    if (index < 4) low |= bits << (index * 7)
    else if (index < 8) middle |= bits << ((index - 4) * 7)
    else high |= bits << ((index - 8) * 7)
    if (byte < 0x80) {
      if (index === 9 && byte > 1) break
      nextPosition = position
      const magnitude = (low >>> 1) + middle * TWO_POW_27 + high * TWO_POW_55
      return (low & 1) === 0 ? magnitude : -magnitude - 1
    }
  }
  throw new KafkaError('INVALID_RECORD', 'Found invalid record structure: varlong is longer than 64 bits')
}

function ended(): KafkaError {
  return new KafkaError('INVALID_RECORD', 'Found invalid record structure: a field goes beyond the end of its record')
}
