import type { Clock } from '@tidelog/core'
import { CONSUMER_OFFSETS_TOPIC } from '@tidelog/metadata'
import { buildEndTxnMarker, KafkaError } from '@tidelog/protocol'
import type { GroupCoordinatorService } from '../coordinators/group-coordinator-service.ts'
import type { ReplicaManager } from '../replicas/replica-manager.ts'

/** The end of one producer's transaction, as its coordinator, or an administrator who ends a hanging one, decided it. */
export interface Marker {
  readonly producerId: number
  readonly producerEpoch: number
  readonly coordinatorEpoch: number
  readonly committed: boolean
  /** The transaction.version that it follows: see KIP-890. */
  readonly transactionVersion: number
}

/** Writes the ends of transactions into the partitions that this broker leads: one code path for WriteTxnMarkers and for its own coordinators. */
export class MarkerWriter {
  readonly #replicas: ReplicaManager
  readonly #groups: GroupCoordinatorService
  readonly #clock: Clock
  readonly #timeoutMs: () => number

  /** @param timeoutMs How long a marker may wait for the in-sync replicas. */
  constructor(options: { replicas: ReplicaManager; groups: GroupCoordinatorService; clock: Clock; timeoutMs: () => number }) {
    const { replicas, groups, clock, timeoutMs } = options
    this.#replicas = replicas
    this.#groups = groups
    this.#clock = clock
    this.#timeoutMs = timeoutMs
  }

  /**
   * Resolves when the marker is committed.
   * @throws KafkaError INVALID_REQUEST (no such producer can be), UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER, KAFKA_STORAGE_ERROR, INVALID_PRODUCER_EPOCH,
   * TRANSACTION_COORDINATOR_FENCED, REQUEST_TIMED_OUT
   */
  async write(topic: string, index: number, marker: Marker): Promise<void> {
    if (!(marker.producerId >= 0 && Number.isSafeInteger(marker.producerId) && marker.producerEpoch >= 0)) {
      throw new KafkaError('INVALID_REQUEST', `producer ${marker.producerId} with epoch ${marker.producerEpoch} is none`)
    }
    const partition = this.#replicas.leaderOf(topic, index)
    if (topic === CONSUMER_OFFSETS_TOPIC) return this.#endOffsets(index, marker)
    const { committed, producerId, producerEpoch, coordinatorEpoch } = marker
    const batch = buildEndTxnMarker({
      type: committed ? 'commit' : 'abort',
      producerId,
      producerEpoch,
      coordinatorEpoch,
      timestamp: this.#clock.now(),
    })
    await partition.append(batch, { acks: -1, timeoutMs: this.#timeoutMs(), origin: 'coordinator' })
  }
  /** By way of the groups' coordinator, to whom it decides whether offsets count. */
  async #endOffsets(index: number, { producerId, producerEpoch, ...marker }: Marker): Promise<void> {
    try {
      await this.#groups.writeMarker(index, { producerId, producerEpoch, marker })
    } catch (error) {
      // The partition is led here, but not loaded, or not any more: whoever sends the marker tries again.
      if (error instanceof KafkaError && notCoordinating.has(error.errorName)) throw new KafkaError('NOT_LEADER_OR_FOLLOWER')
      throw error
    }
  }
}

const notCoordinating: ReadonlySet<string> = new Set(['COORDINATOR_LOAD_IN_PROGRESS', 'COORDINATOR_NOT_AVAILABLE', 'NOT_COORDINATOR'])
