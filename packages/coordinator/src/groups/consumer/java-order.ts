import { javaStringHash } from '@tidelog/core'

/**
 * The order in which Java's HashMap and HashSet hand out their keys. Kafka's assignors walk through such sets, so who gets which partition
 * depends on it: in this order, the same members get the same partitions from both.
 */

/** Kafka's Uuid.hashCode: its four 32-bit words, xored. */
export function javaUuidHash(uuid: string): number {
  const bytes = Buffer.from(uuid, 'base64url')
  return bytes.readInt32BE(0) ^ bytes.readInt32BE(4) ^ bytes.readInt32BE(8) ^ bytes.readInt32BE(12)
}

/** As Kafka's Uuid.compareTo: its two halves as signed numbers. */
export function compareUuids(a: string, b: string): number {
  const left = Buffer.from(a, 'base64url')
  const right = Buffer.from(b, 'base64url')
  const first = left.readBigInt64BE(0) - right.readBigInt64BE(0)
  const order = first === 0n ? left.readBigInt64BE(8) - right.readBigInt64BE(8) : first
  return order < 0n ? -1 : order > 0n ? 1 : 0
}

/** Buckets of a table that grew while keys were put into it. */
export function grownCapacity(size: number): number {
  let capacity = 16
  while (size > capacity * 0.75) capacity *= 2
  return capacity
}

/** Buckets of a set that was made from a collection of `size`. */
export function copiedCapacity(size: number): number {
  const wanted = Math.max(Math.trunc(size / 0.75) + 1, 16)
  let capacity = 16
  while (capacity < wanted) capacity *= 2
  return capacity
}

/** Buckets of a HashMap that was made from a map of `size` and has grown to `grownSize` since. */
export function mapCopyCapacity(size: number, grownSize: number): number {
  let capacity = size === 0 ? 16 : 1
  while (size > 0 && capacity < Math.trunc(size / 0.75 + 1)) capacity *= 2
  while (grownSize > capacity * 0.75) capacity *= 2
  return capacity
}

/** Keys by bucket; within one, as they came. */
export function inBuckets<K>(keys: Iterable<K>, hashOf: (key: K) => number, capacity: number): K[] {
  const placed = Array.from(keys, (key) => {
    const hash = hashOf(key)
    return { key, bucket: (hash ^ (hash >>> 16)) & (capacity - 1) }
  })
  return placed.sort((a, b) => a.bucket - b.bucket).map(({ key }) => key)
}

/** The order of Kafka's TimelineHashMap, which never shrinks: `peakSize` is the most keys that it has had. */
export function timelineOrder(keys: readonly string[], peakSize: number): string[] {
  let slotBits = 1
  while (peakSize * 0.75 > 2 ** slotBits) slotBits++
  const placed = keys.map((key) => ({
    key,
    slot: Number(BigInt.asUintN(64, BigInt(javaStringHash(key)) * -7046029254386353131n) >> BigInt(64 - slotBits)),
  }))
  return placed.sort((a, b) => a.slot - b.slot).map(({ key }) => key)
}

export const stringsInOrder = (keys: ReadonlySet<string> | readonly string[]): string[] =>
  inBuckets(keys, javaStringHash, grownCapacity('size' in keys ? keys.size : keys.length))

/** The keys of a HashMap by Uuid. */
export const uuidsInOrder = (keys: Iterable<string>, size: number): string[] => inBuckets(keys, javaUuidHash, grownCapacity(size))

const same = (value: number): number => value
/** The numbers of a HashSet that was made from a list. */
export const numbersInOrder = (numbers: ReadonlySet<number>): number[] => inBuckets(numbers, same, copiedCapacity(numbers.size))
