const SEED = 0x9747b28c
const M = 0x5bd1e995
const R = 24

/**
 * The hash of kafkajs 1: murmur2 in floating point. Products lose their low bits where they go beyond 2^53, and the bytes behind the last
 * whole word are mixed in as a word, too; keys that were partitioned by it stay where they are only if it stays as it is.
 */
export function legacyMurmur2(data: Uint8Array): number {
  const { length } = data
  const at = (index: number): number => data[index] ?? 0
  let hash = SEED ^ length
  for (let word = 0; word < length; word += 4) {
    let k = at(word) + (at(word + 1) << 8) + (at(word + 2) << 16) + (at(word + 3) << 24)
    k *= M
    k ^= k >>> R
    k *= M
    hash *= M
    hash ^= k
  }
  const whole = length & ~3
  const rest = length - whole
  if (rest > 2) hash ^= at(whole + 2) << 16
  if (rest > 1) hash ^= at(whole + 1) << 8
  if (rest > 0) {
    hash ^= at(whole)
    hash *= M
  }
  hash ^= hash >>> 13
  hash *= M
  return hash ^ (hash >>> 15)
}
