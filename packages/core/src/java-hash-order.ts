/**
 * The order in which java.util.HashMap iterates over string keys. Kafka's tools print some sets straight out of such a map
 * (a topic's configs in `kafka-topics --describe`), so this is the order in which scripts have always seen them; its assignors walk
 * through others, so who gets the odd partition depends on it.
 * @param capacity What the map was created with; 16 when Java was not told.
 */
export function javaHashOrder(keys: readonly string[], capacity = 16): string[] {
  return javaHashOrderOf(keys, javaStringHash, capacity)
}

/** The same for keys of any class, by its hashCode. */
export function javaHashOrderOf<K>(keys: readonly K[], hashOf: (key: K) => number, capacity = 16): K[] {
  let size = 1
  while (size < capacity) size *= 2
  while (keys.length > size * 0.75) size *= 2
  const buckets = new Map<number, K[]>()
  for (const key of keys) {
    const hash = hashOf(key)
    const bucket = (hash ^ (hash >>> 16)) & (size - 1)
    const there = buckets.get(bucket)
    if (there === undefined) buckets.set(bucket, [key])
    else there.push(key)
  }
  return [...buckets.entries()].sort(([a], [b]) => a - b).flatMap(([, names]) => names)
}

/** java.lang.String's: over UTF-16 units, modulo 2^32. */
export function javaStringHash(text: string): number {
  let hash = 0
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0
  return hash
}

/** org.apache.kafka.common.TopicPartition's. */
export const javaTopicPartitionHash = ({ topic, partition }: { readonly topic: string; readonly partition: number }): number =>
  (Math.imul(31, (31 + partition) | 0) + javaStringHash(topic)) | 0
