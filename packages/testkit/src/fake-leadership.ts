import { errorTable, Fetch, ListOffsets, Metadata, OffsetForLeaderEpoch } from '@tidelog/protocol'
import type { ApiProxy } from './api-proxy.ts'

/** The leader of a partition, as a test wants it. */
export interface FakeLeader {
  leaderId: number
  leaderEpoch: number
}

/**
 * Makes the nodes of a proxy lead partitions by turns: Metadata names the leader that the test says, and the others refuse, as brokers do, what
 * is asked of the wrong one, or of an epoch that is not the present one. The broker behind must keep no fetch sessions.
 */
export class FakeLeadership {
  readonly #leaders = new Map<string, FakeLeader>()
  readonly #proxy: ApiProxy
  /** Whether refusals of Fetch name the leader. KIP-951. */
  hints = false
  /** What Metadata says, where it is not the truth. */
  stale: FakeLeader | undefined

  constructor(proxy: ApiProxy) {
    this.#proxy = proxy
    proxy.onAnswer(Metadata, (answer) => ({
      ...answer,
      topics: answer.topics.map((topic) => ({
        ...topic,
        partitions: topic.partitions.map((row) => ({
          ...row,
          ...(this.stale ?? this.of(row.partitionIndex)),
          replicaNodes: this.#nodes(),
          isrNodes: this.#nodes(),
        })),
      })),
    }))
    proxy.onRequest(Fetch, ({ request, nodeId }) => {
      const entries = request.topics.flatMap((topic) => topic.partitions.map((entry) => ({ topic, entry })))
      const refused = entries.map(({ topic, entry }) => ({ topic, entry, errorCode: this.#check(nodeId, entry) }))
      if (refused.every(({ errorCode }) => errorCode === 0)) {
        const topics = request.topics.map((topic) => ({ ...topic, partitions: topic.partitions.map(withoutEpoch) }))
        return { request: { ...request, topics } }
      }
      const responses = refused.map(({ topic: { topic, topicId }, entry: { partition }, errorCode }) => ({
        topic,
        topicId,
        partitions: [
          { partitionIndex: partition, errorCode, highWatermark: -1, abortedTransactions: null, records: null, ...this.#hint(partition) },
        ],
      }))
      return { answer: { errorCode: 0, sessionId: 0, responses, nodeEndpoints: this.hints ? this.#endpoints() : [] } }
    })
    proxy.onRequest(ListOffsets, ({ request }) => {
      const topics = request.topics.map((topic) => ({ ...topic, partitions: topic.partitions.map(withoutEpoch) }))
      return { request: { ...request, topics } }
    })
    proxy.onRequest(OffsetForLeaderEpoch, ({ request, nodeId }) => {
      const topics = request.topics.map(({ topic, partitions }) => ({
        topic,
        partitions: partitions.map((entry) => ({ partition: entry.partition, errorCode: this.#check(nodeId, entry) })),
      }))
      if (topics.some(({ partitions }) => partitions.some(({ errorCode }) => errorCode !== 0))) return { answer: { topics } }
      return {
        request: { ...request, topics: request.topics.map((topic) => ({ ...topic, partitions: topic.partitions.map(withoutEpoch) })) },
      }
    })
  }

  /** Change what it returns. Every partition begins with the first node, in epoch 0. */
  of(partition: number): FakeLeader {
    const key = String(partition)
    const known = this.#leaders.get(key) ?? { leaderId: this.#nodes()[0]!, leaderEpoch: 0 }
    this.#leaders.set(key, known)
    return known
  }

  #check(nodeId: number, { partition, currentLeaderEpoch }: { partition: number; currentLeaderEpoch: number }): number {
    const { leaderId, leaderEpoch } = this.of(partition)
    if (currentLeaderEpoch >= 0 && currentLeaderEpoch < leaderEpoch) return errorTable.FENCED_LEADER_EPOCH.code
    if (currentLeaderEpoch > leaderEpoch) return errorTable.UNKNOWN_LEADER_EPOCH.code
    return nodeId === leaderId ? 0 : errorTable.NOT_LEADER_OR_FOLLOWER.code
  }

  #hint(partition: number) {
    return this.hints ? { currentLeader: { ...this.of(partition) } } : {}
  }

  #nodes(): readonly number[] {
    return this.#proxy.nodes
  }

  #endpoints() {
    return this.#nodes().map((nodeId) => ({ nodeId, host: '127.0.0.1', port: this.#proxy.portOf(nodeId) }))
  }
}

const withoutEpoch = <E extends { currentLeaderEpoch: number }>(entry: E): E => ({ ...entry, currentLeaderEpoch: -1 })
