import { hasCode, isRetriable } from '../errors.ts'
import type { WaitOptions } from '../wait.ts'
import type { BrokerConnection } from './broker-connection.ts'
import type { Cluster, RetryOptions } from './cluster.ts'
import type { Purpose } from './connection-pool.ts'

/** After these another broker may be the coordinator. */
const coordinatorLost = ['NOT_COORDINATOR', 'COORDINATOR_NOT_AVAILABLE', 'DISCONNECTED', 'TIMEOUT'] as const

export interface CoordinatorOptions extends WaitOptions {
  /** `coordinator` when absent. */
  readonly purpose?: Purpose
}

/** The broker that coordinates a group or a transactional id: found when needed, looked for again after an error that says it has moved or died. */
export class Coordinator {
  readonly #cluster: Cluster
  readonly #ask: () => Promise<number>
  #nodeId: number | undefined
  #finding: Promise<number> | undefined

  /** @param find Asks, once, which node it is. */
  constructor(cluster: Cluster, find: () => Promise<number>) {
    this.#cluster = cluster
    this.#ask = find
  }

  /** undefined: not known. */
  get nodeId(): number | undefined {
    return this.#nodeId
  }

  /** @throws DisconnectedError, BrokerError COORDINATOR_NOT_AVAILABLE and others */
  async connection(options?: CoordinatorOptions): Promise<BrokerConnection> {
    this.#finding ??= this.#nodeId === undefined ? this.#find() : undefined
    const nodeId = this.#nodeId ?? (await this.#finding!)
    try {
      return await this.#cluster.connectionTo(nodeId, options?.purpose ?? 'coordinator', options)
    } catch (error) {
      this.lost(error)
      throw error
    }
  }

  /** Forgets the coordinator when the error says so. */
  lost(error: unknown): void {
    if (hasCode(error, ...coordinatorLost)) this.#nodeId = undefined
  }

  /** A request to the coordinator, once. */
  async request<T>(send: (connection: BrokerConnection) => Promise<T>, options?: CoordinatorOptions): Promise<T> {
    const connection = await this.connection(options)
    try {
      return await send(connection)
    } catch (error) {
      this.lost(error)
      throw error
    }
  }

  /** A request to the coordinator, repeated while errors are retriable. */
  retry<T>(options: RetryOptions, send: (connection: BrokerConnection) => Promise<T>): Promise<T> {
    return this.#cluster.retry({ retryIf: isRetriable, ...options }, () => this.request(send, options))
  }

  async #find(): Promise<number> {
    try {
      this.#nodeId = await this.#ask()
      return this.#nodeId
    } finally {
      this.#finding = undefined
    }
  }
}
