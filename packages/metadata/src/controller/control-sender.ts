import type { Logger } from '@tidelog/core'
import {
  errorByCode,
  errorTable,
  LeaderAndIsr,
  type LeaderAndIsrRequest,
  type RequestOf,
  type ResponseOf,
  StopReplica,
  type StopReplicaRequest,
  UpdateMetadata,
  type UpdateMetadataRequest,
} from '@tidelog/protocol'
import type { BrokerChannel, ControlApi } from './broker-channel.ts'

const storageError = errorTable.KAFKA_STORAGE_ERROR.code

/** Sends each broker its requests one after the other, in the order of the decisions, whatever the channel does. */
export class ControlSender {
  readonly #channel: BrokerChannel
  readonly #logger: Logger
  readonly #queues = new Map<number, Promise<unknown>>()
  #isClosed = false

  constructor(channel: BrokerChannel, logger: Logger) {
    this.#channel = channel
    this.#logger = logger
  }

  /**
   * Resolves when the broker has applied it, or has gone or refused: that is logged, and the next change of brokers makes up for it.
   * @returns Partitions whose log dir is offline there.
   */
  async leaderAndIsr(brokerId: number, request: LeaderAndIsrRequest | undefined): Promise<{ topic: string; index: number }[]> {
    if (request === undefined) return []
    const response = await this.#send(brokerId, LeaderAndIsr, request)
    if (response === undefined) return []
    const failed = response.topics.flatMap(({ partitionErrors }) => partitionErrors).filter(({ errorCode }) => errorCode !== 0)
    if (failed.length > 0) {
      const { topicName: topic, partitionIndex: partition, errorCode } = failed[0]!
      const error = errorByCode(errorCode)
      this.#logger.error('a broker could not take partitions', { brokerId, count: failed.length, topic, partition, error })
    }
    return failed
      .filter(({ errorCode }) => errorCode === storageError)
      .map(({ topicName, partitionIndex }) => ({ topic: topicName, index: partitionIndex }))
  }

  async updateMetadata(brokerId: number, request: UpdateMetadataRequest): Promise<void> {
    await this.#send(brokerId, UpdateMetadata, request)
  }

  /**
   * @returns Whether the broker serves none of the replicas any more, and will not. What lies on a disk of its that has failed is a stray when that is back,
   * as in Kafka: nobody waits for it.
   */
  async stopReplica(brokerId: number, request: StopReplicaRequest | undefined): Promise<boolean> {
    if (request === undefined) return true
    const response = await this.#send(brokerId, StopReplica, request)
    if (response === undefined) return false
    const failed = response.partitionErrors.filter(({ errorCode }) => errorCode !== 0)
    for (const { topicName, partitionIndex, errorCode } of failed.slice(0, 1)) {
      const error = errorByCode(errorCode)
      const count = failed.length
      this.#logger.error('a broker could not delete replicas', { brokerId, count, topic: topicName, partition: partitionIndex, error })
    }
    return failed.every(({ errorCode }) => errorCode === storageError)
  }

  /** Sends nothing more. */
  close(): void {
    this.#isClosed = true
  }

  /** Undefined when it did not arrive, or was refused as a whole. */
  #send<A extends ControlApi>(brokerId: number, api: A, request: RequestOf<A>): Promise<ResponseOf<A> | undefined> {
    const sent = (this.#queues.get(brokerId) ?? Promise.resolve()).then(async () => {
      if (this.#isClosed) return undefined
      try {
        const response = await this.#channel.send(brokerId, api, request)
        if (response.errorCode === 0) return response
        this.#logger.warn('a broker refused a request of the controller', {
          brokerId,
          api: api.name,
          error: errorByCode(response.errorCode),
        })
      } catch (error) {
        this.#logger.warn('a request of the controller did not reach its broker', { brokerId, api: api.name, error })
      }
      return undefined
    })
    this.#queues.set(brokerId, sent)
    return sent
  }
}
