const PRIME_1 = 0x9e3779b1
const PRIME_2 = 0x85ebca77
const PRIME_3 = 0xc2b2ae3d
const PRIME_4 = 0x27d4eb2f
const PRIME_5 = 0x165667b1

const rotateLeft = (value: number, bits: number): number => (value << bits) | (value >>> (32 - bits))

/** xxHash32 with seed 0, of fewer than 16 bytes: all that the header of an LZ4 frame needs. Source: xxHash specification 0.1.1. */
export function xxHash32(bytes: Buffer): number {
  if (bytes.length >= 16) throw new RangeError('xxHash32 of 16 bytes and more is not implemented here')
  let hash = (PRIME_5 + bytes.length) | 0
  let at = 0
  for (; at + 4 <= bytes.length; at += 4) {
    hash = Math.imul(rotateLeft((hash + Math.imul(bytes.readUInt32LE(at), PRIME_3)) | 0, 17), PRIME_4)
  }
  for (; at < bytes.length; at++) {
    hash = Math.imul(rotateLeft((hash + Math.imul(bytes[at]!, PRIME_5)) | 0, 11), PRIME_1)
  }
  hash = Math.imul(hash ^ (hash >>> 15), PRIME_2)
  hash = Math.imul(hash ^ (hash >>> 13), PRIME_3)
  return (hash ^ (hash >>> 16)) >>> 0
}
