import type { Exchange, ExchangeObserver } from '@tidelog/net'
import {
  errorTable,
  Fetch,
  Heartbeat,
  type HeartbeatResponse,
  JoinGroup,
  type JoinGroupResponse,
  Metadata,
  type MetadataResponse,
} from '@tidelog/protocol'

/** What the last JoinGroup said. */
export interface JoinSeen {
  readonly startMs: number
  readonly memberId: string
  readonly leaderId: string
  readonly groupProtocol: string
}

export interface GroupListener {
  heartbeat(): void
  /** The coordinator wants its members to join again. */
  rebalancing(): void
  fetchStart(nodeId: number): void
  fetched(nodeId: number, durationMs: number): void
}

const rebalanceCodes: readonly number[] = [
  errorTable.REBALANCE_IN_PROGRESS.code,
  errorTable.ILLEGAL_GENERATION.code,
  errorTable.NOT_COORDINATOR.code,
]
const UNKNOWN_NODE = -1

/** Tells from a consumer's requests what kafkajs has events for. */
export class GroupEvents {
  readonly #listener: GroupListener
  readonly #nodeIds = new Map<string, number>()
  joined: JoinSeen | undefined

  constructor(listener: GroupListener) {
    this.#listener = listener
  }

  readonly observer: ExchangeObserver = {
    sent: (exchange) => {
      if (exchange.api.key === Fetch.key) this.#listener.fetchStart(this.#nodeIdOf(exchange))
    },
    answered: (exchange, { response, nowMs }) => {
      switch (exchange.api.key) {
        case Fetch.key:
          this.#listener.fetched(this.#nodeIdOf(exchange), nowMs - exchange.sentMs)
          break
        case Heartbeat.key: {
          const { errorCode } = response as HeartbeatResponse
          if (errorCode === 0) this.#listener.heartbeat()
          else if (rebalanceCodes.includes(errorCode)) this.#listener.rebalancing()
          break
        }
        case JoinGroup.key: {
          const { errorCode, memberId, leader, protocolName } = response as JoinGroupResponse
          if (errorCode === 0) this.joined = { startMs: exchange.createdMs, memberId, leaderId: leader, groupProtocol: protocolName ?? '' }
          break
        }
        case Metadata.key:
          for (const { nodeId, host, port } of (response as MetadataResponse).brokers) this.#nodeIds.set(`${host}:${port}`, nodeId)
          break
      }
    },
  }

  #nodeIdOf({ host, port }: Exchange): number {
    return this.#nodeIds.get(`${host}:${port}`) ?? UNKNOWN_NODE
  }
}
