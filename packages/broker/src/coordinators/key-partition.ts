import { javaStringHash } from '@tidelog/core'

/** The partition of __consumer_offsets that a group lives in, and of __transaction_state a transactional id; every broker of every make must agree on it. */
export const keyPartition = (key: string, partitionCount: number): number => {
  const hash = javaStringHash(key)
  // Java's Math.abs leaves the smallest int negative; Kafka takes 0 for it.
  return hash === -2147483648 ? 0 : Math.abs(hash) % partitionCount
}
