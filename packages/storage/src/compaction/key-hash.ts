/**
 * A 128-bit hash of a key, MurmurHash3's x86 variant, whose four lanes begin with a seed each. Two keys of one log would have to share all 128 bits for
 * one to be taken for the other. It is no cryptographic hash: who may write keys to a topic may overwrite any of them anyway.
 */
const C1 = 0x239b961b
const C2 = 0xab0e9789
const C3 = 0x38b34ae5
const C4 = 0xa1e38b93

export type KeySeed = readonly [number, number, number, number]

/** Writes the hash of `length` bytes at `at` into the first four places of `into`. */
export function hashKey(buffer: Uint8Array, at: number, length: number, seed: KeySeed, into: Int32Array): void {
  let h1 = seed[0]
  let h2 = seed[1]
  let h3 = seed[2]
  let h4 = seed[3]
  let position = at
  for (const end = at + (length & ~15); position < end; position += 16) {
    h1 = Math.imul(rotate(h1 ^ mixed(word(buffer, position), C1, 15, C2), 19) + h2, 5) + 0x561ccd1b
    h2 = Math.imul(rotate(h2 ^ mixed(word(buffer, position + 4), C2, 16, C3), 17) + h3, 5) + 0x0bcaa747
    h3 = Math.imul(rotate(h3 ^ mixed(word(buffer, position + 8), C3, 17, C4), 15) + h4, 5) + 0x96cd1c35
    h4 = Math.imul(rotate(h4 ^ mixed(word(buffer, position + 12), C4, 18, C1), 13) + h1, 5) + 0x32ac3b17
  }
  const rest = length & 15
  if (rest > 12) h4 ^= mixed(partialWord(buffer, position + 12, rest - 12), C4, 18, C1)
  if (rest > 8) h3 ^= mixed(partialWord(buffer, position + 8, rest - 8), C3, 17, C4)
  if (rest > 4) h2 ^= mixed(partialWord(buffer, position + 4, rest - 4), C2, 16, C3)
  if (rest > 0) h1 ^= mixed(partialWord(buffer, position, rest), C1, 15, C2)

  h1 ^= length
  h2 ^= length
  h3 ^= length
  h4 ^= length
  h1 = (h1 + h2 + h3 + h4) | 0
  h2 = (h2 + h1) | 0
  h3 = (h3 + h1) | 0
  h4 = (h4 + h1) | 0
  h1 = finished(h1)
  h2 = finished(h2)
  h3 = finished(h3)
  h4 = finished(h4)
  h1 = (h1 + h2 + h3 + h4) | 0
  into[0] = h1
  into[1] = h2 + h1
  into[2] = h3 + h1
  into[3] = h4 + h1
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits))
}

function mixed(value: number, first: number, bits: number, second: number): number {
  return Math.imul(rotate(Math.imul(value, first), bits), second)
}

function finished(value: number): number {
  let h = value
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}

function word(buffer: Uint8Array, at: number): number {
  return buffer[at]! | (buffer[at + 1]! << 8) | (buffer[at + 2]! << 16) | (buffer[at + 3]! << 24)
}

/** The first `length` bytes of a word, 4 at most. */
function partialWord(buffer: Uint8Array, at: number, length: number): number {
  if (length >= 4) return word(buffer, at)
  let value = buffer[at]!
  if (length > 1) value |= buffer[at + 1]! << 8
  if (length > 2) value |= buffer[at + 2]! << 16
  return value
}
