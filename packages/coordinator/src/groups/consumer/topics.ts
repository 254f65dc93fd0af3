import { xxh3 } from '@node-rs/xxhash'

/** A topic as far as assignments need it. */
export interface TopicView {
  readonly name: string
  readonly topicId: string
  readonly partitionCount: number
  /** Of the brokers that have a replica of the partition. */
  racksOf(partition: number): readonly string[]
}

/** The topics that there are, as this broker's metadata has them. It is read while a step is made and does not change meanwhile. */
export interface TopicsView {
  /** Grows whenever topics come into being, also across restarts. */
  readonly versionOfNewTopics: number
  byName(name: string): TopicView | undefined
  byId(topicId: string): TopicView | undefined
  names(): Iterable<string>
}

/**
 * What Kafka calls a topic's hash: XXH3 over a format version, the id, the name, and the racks of each partition. Numbers are little-endian,
 * a string is its UTF-16 units and then their number. Source: KIP-1101.
 */
function hashOfTopic(topic: TopicView): bigint {
  const id = Buffer.from(topic.topicId, 'base64url')
  const chunks = [Buffer.of(0), id.subarray(0, 8).toReversed(), id.subarray(8).toReversed(), text(topic.name), int32(topic.partitionCount)]
  for (let partition = 0; partition < topic.partitionCount; partition++) {
    chunks.push(int32(partition))
    for (const rack of [...topic.racksOf(partition)].sort()) chunks.push(int32(rack.length), text(rack))
  }
  return xxh3.xxh64(Buffer.concat(chunks))
}

function int32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeInt32LE(value)
  return bytes
}
const text = (value: string): Buffer => Buffer.concat([Buffer.from(value, 'utf16le'), int32(value.length)])

/** The hashes of topics, each computed once between changes of it. */
export class TopicHashes {
  readonly #topics: TopicsView
  readonly #hashes = new Map<string, bigint>()

  constructor(topics: TopicsView) {
    this.#topics = topics
  }

  forget(name: string): void {
    this.#hashes.delete(name)
  }

  /**
   * Of a group's subscription: 0 when none of its topics exists. Two groups have the same one when they are the same topics with the same
   * partitions on the same racks, so a change of it asks for a new assignment.
   */
  ofSubscription(names: Iterable<string>): bigint {
    const existing = [...names].filter((name) => this.#topics.byName(name) !== undefined).sort()
    if (existing.length === 0) return 0n
    const bytes = Buffer.allocUnsafe(8 * existing.length)
    for (const [i, name] of existing.entries()) bytes.writeBigUInt64LE(BigInt.asUintN(64, this.#hashOf(name)), 8 * i)
    return BigInt.asIntN(64, xxh3.xxh64(bytes))
  }

  #hashOf(name: string): bigint {
    let hash = this.#hashes.get(name)
    if (hash === undefined) {
      hash = hashOfTopic(this.#topics.byName(name)!)
      this.#hashes.set(name, hash)
    }
    return hash
  }
}
