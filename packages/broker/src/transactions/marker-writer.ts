import type { Clock } from '@tidelog/core'
import { buildEndTxnMarker } from '@tidelog/protocol'
import type { ReplicaManager } from '../replicas/replica-manager.ts'

/** The end of one producer's transaction, as its coordinator, or an administrator who ends a hanging one, decided it. */
export interface Marker {
  readonly producerId: number
  readonly producerEpoch: number
  readonly coordinatorEpoch: number
  readonly committed: boolean
}

/** Writes the ends of transactions into the partitions that this broker leads: one code path for WriteTxnMarkers and for its own coordinators. */
export class MarkerWriter {
  readonly #replicas: ReplicaManager
  readonly #clock: Clock
  readonly #timeoutMs: () => number

  /** @param timeoutMs How long a marker may wait for the in-sync replicas. */
  constructor({ replicas, clock, timeoutMs }: { replicas: ReplicaManager; clock: Clock; timeoutMs: () => number }) {
    this.#replicas = replicas
    this.#clock = clock
    this.#timeoutMs = timeoutMs
  }

  /**
   * Resolves when the marker is committed.
   * @throws KafkaError UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER, KAFKA_STORAGE_ERROR, INVALID_PRODUCER_EPOCH,
   * TRANSACTION_COORDINATOR_FENCED, REQUEST_TIMED_OUT
   */
  async write(topic: string, index: number, { committed, ...marker }: Marker): Promise<void> {
    const partition = this.#replicas.leaderOf(topic, index)
    const batch = buildEndTxnMarker({ ...marker, type: committed ? 'commit' : 'abort', timestamp: this.#clock.now() })
    await partition.append(batch, { acks: -1, timeoutMs: this.#timeoutMs(), origin: 'coordinator' })
  }
}
