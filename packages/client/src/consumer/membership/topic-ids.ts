import { messageOf } from '@tidelog/core'
import { Metadata } from '@tidelog/protocol'
import type { Cluster } from '../../cluster/cluster.ts'

/** A partition as the consumer protocol names it: by the id of its topic, which a topic of the same name that is made later does not have. */
export interface TopicIdPartition {
  readonly topicId: string
  readonly partition: number
}

export const idPartitionKey = ({ topicId, partition }: TopicIdPartition): string => `${topicId}/${partition}`

export function groupById(partitions: Iterable<TopicIdPartition>): { topicId: string; partitions: number[] }[] {
  const byId = new Map<string, number[]>()
  for (const { topicId, partition } of partitions) {
    const list = byId.get(topicId)
    if (list === undefined) byId.set(topicId, [partition])
    else list.push(partition)
  }
  return [...byId].map(([topicId, list]) => ({ topicId, partitions: list }))
}

/** Metadata can be asked for by id from here on. KIP-516. */
const OLDEST_BY_ID = 12

/**
 * Names of topics whose ids the coordinator has told. A pattern that the coordinator evaluates brings topics that this client has never
 * asked about, so they are asked for by id, again and again until nobody wants them any more.
 */
export class TopicNames {
  readonly #cluster: Cluster
  readonly #onNews: () => void
  readonly #known = new Map<string, string>()
  #wanted: ReadonlySet<string> = new Set()
  #isAsking = false

  /** @param onNews Called when a name that was wanted has come. */
  constructor(cluster: Cluster, onNews: () => void) {
    this.#cluster = cluster
    this.#onNews = onNews
  }

  nameOf(topicId: string): string | undefined {
    return this.#known.get(topicId) ?? this.#cluster.metadata.nameOf(topicId)
  }

  /** These are wanted, and no others. */
  want(topicIds: ReadonlySet<string>): void {
    this.#wanted = topicIds
    for (const topicId of this.#known.keys()) if (!topicIds.has(topicId)) this.#known.delete(topicId)
    if (!this.#isAsking && this.#missing().length > 0) {
      this.#isAsking = true
      this.#ask().finally(() => {
        this.#isAsking = false
      })
    }
  }

  #missing(): string[] {
    return [...this.#wanted].filter((topicId) => this.nameOf(topicId) === undefined)
  }

  async #ask(): Promise<void> {
    const cluster = this.#cluster
    for (let attempt = 0; !cluster.closed; attempt++) {
      const missing = this.#missing()
      if (missing.length === 0) break
      try {
        const connection = await cluster.anyConnection()
        const response = await connection.send(
          Metadata,
          {
            topics: missing.map((topicId) => ({ topicId, name: null })),
            allowAutoTopicCreation: false,
          },
          { minVersion: OLDEST_BY_ID },
        )
        for (const { errorCode, topicId, name } of response.topics) {
          if (errorCode === 0 && name !== null) this.#known.set(topicId, name)
        }
      } catch (error) {
        if (cluster.closed) return
        cluster.logger.debug('names of topics cannot be fetched', { reason: messageOf(error) })
      }
      if (this.#missing().length < missing.length) this.#onNews()
      else await cluster.sleep(cluster.retryBackoffMs(attempt)).catch(() => {})
    }
  }
}
