import { InitProducerId } from '@tidelog/protocol'
import type { Cluster } from '../cluster/cluster.ts'
import { type ClientError, checkErrorCode, isRetriable, recoverable } from '../errors.ts'
import type { ProducerIdAndEpoch } from './producer-batch.ts'

const MAX_EPOCH = 32_767
/** Not used without a transactional id. */
const NO_TIMEOUT_MS = 2_147_483_647

/** Under which producer id and epoch sequence numbers are counted. */
export interface SequenceIdentity {
  readonly current: ProducerIdAndEpoch | undefined
  /** Asks for one unless it is being asked for. `onReady` hears the end of it, with what went wrong for good. */
  get(onReady: (error?: ClientError) => void): void
  /** Sequences are to start again at 0. */
  bump(): void
}

/** The producer id of an idempotent producer: had from a broker once, its epoch raised here when sequences have to start again. KIP-98, KIP-360. */
export class ProducerIdentity implements SequenceIdentity {
  readonly #cluster: Cluster
  #current: ProducerIdAndEpoch | undefined
  #getting = false
  #failures = 0

  constructor(cluster: Cluster) {
    this.#cluster = cluster
  }

  get current(): ProducerIdAndEpoch | undefined {
    return this.#current
  }

  get(onReady: (error?: ClientError) => void): void {
    if (this.#getting || this.#current !== undefined) return
    this.#getting = true
    this.#ask().then(
      () => {
        this.#getting = false
        this.#failures = 0
        onReady()
      },
      async (error: ClientError) => {
        if (this.#cluster.closed) return
        if (isRetriable(error)) {
          this.#cluster.logger.debug('no producer id yet', { reason: error.message })
          await this.#cluster.sleep(this.#cluster.retryBackoffMs(this.#failures++)).catch(() => {})
        }
        this.#getting = false
        onReady(isRetriable(error) ? undefined : recoverable(error))
      },
    )
  }

  /** Sequences start at 0 under the new epoch; past the last epoch a new id is asked for. */
  bump(): void {
    if (this.#current === undefined) return
    const { producerId, producerEpoch } = this.#current
    this.#current = producerEpoch < MAX_EPOCH ? { producerId, producerEpoch: producerEpoch + 1 } : undefined
  }

  async #ask(): Promise<void> {
    const connection = await this.#cluster.anyConnection()
    const response = await connection.send(InitProducerId, { transactionalId: null, transactionTimeoutMs: NO_TIMEOUT_MS })
    checkErrorCode(response.errorCode, 'producer id')
    this.#current = { producerId: response.producerId, producerEpoch: response.producerEpoch }
  }
}
