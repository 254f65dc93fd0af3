import type { ConsumerGroupHeartbeatRequest } from '@tidelog/protocol'
import type { ConsumerConfig } from '../../config/consumer-config.ts'
import { ClientError } from '../../errors.ts'
import { groupById, type TopicIdPartition } from './topic-ids.ts'

/** The version of ConsumerGroupHeartbeat that has patterns. */
const OLDEST_WITH_PATTERN = 1

/** What a member says of itself. */
export interface Said {
  /** Sorted. */
  readonly topics: readonly string[]
  readonly pattern: string | null
  readonly owned: readonly TopicIdPartition[]
}

/**
 * A heartbeat says what has changed since the last one that was answered; the first, and one after a failure, says everything: nobody knows
 * what became of the one before.
 */
export class HeartbeatRequest {
  readonly #config: ConsumerConfig
  #heard: Said | undefined

  constructor(config: ConsumerConfig) {
    this.#config = config
  }

  /** The next one says everything. */
  forget(): void {
    this.#heard = undefined
  }

  /** The coordinator has answered a request that said so. */
  wasHeard(said: Said): void {
    this.#heard = said
  }

  /** Has the coordinator yet to hear of these topics or partitions? False while it has yet to hear of anything: that is under way. */
  isNews({ topics, pattern, owned }: Said): boolean {
    const heard = this.#heard
    return heard !== undefined && (!sameTexts(heard.topics, topics) || heard.pattern !== pattern || heard.owned !== owned)
  }

  /** @throws ClientError UNSUPPORTED_VERSION, fatal, for a pattern that the broker cannot take */
  build(
    version: number,
    groupId: string,
    member: { readonly memberId: string; readonly memberEpoch: number },
    { topics, pattern, owned }: Said,
  ): ConsumerGroupHeartbeatRequest {
    if (pattern !== null && version < OLDEST_WITH_PATTERN) {
      throw new ClientError('UNSUPPORTED_VERSION', 'the broker evaluates no patterns: subscribe by a RegExp instead', { fatal: true })
    }
    const heard = this.#heard
    const isFull = heard === undefined
    const patternIsNews = isFull ? pattern !== null : heard.pattern !== pattern
    return {
      ...member,
      groupId,
      instanceId: this.#config['group.instance.id'],
      rackId: isFull ? this.#config['client.rack'] || null : null,
      rebalanceTimeoutMs: isFull ? this.#config['max.poll.interval.ms'] : -1,
      subscribedTopicNames: isFull || !sameTexts(heard.topics, topics) ? [...topics] : null,
      // An empty one takes the pattern of before away.
      subscribedTopicRegex: patternIsNews ? (pattern ?? '') : null,
      serverAssignor: isFull ? this.#config['group.remote.assignor'] : null,
      topicPartitions: isFull || heard.owned !== owned ? groupById(owned) : null,
    }
  }
}

const sameTexts = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((text, index) => text === b[index])
