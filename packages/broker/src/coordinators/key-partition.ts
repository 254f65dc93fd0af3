/** Java's String.hashCode: over UTF-16 units, in 32 bits. */
function javaHash(text: string): number {
  let hash = 0
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0
  return hash
}

/** The partition of __consumer_offsets that a group lives in, and of __transaction_state a transactional id; every broker of every make must agree on it. */
export const keyPartition = (key: string, partitionCount: number): number => {
  const hash = javaHash(key)
  // Java's Math.abs leaves the smallest int negative; Kafka takes 0 for it.
  return hash === -2147483648 ? 0 : Math.abs(hash) % partitionCount
}
