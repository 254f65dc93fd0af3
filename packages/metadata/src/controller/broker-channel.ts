import type { LeaderAndIsr, RequestOf, ResponseOf, StopReplica, UpdateMetadata } from '@tidelog/protocol'

export type ControlApi = typeof LeaderAndIsr | typeof StopReplica | typeof UpdateMetadata

/** How the controller reaches brokers, itself among them. Rejects when the broker cannot be reached any more. */
export interface BrokerChannel {
  send<A extends ControlApi>(brokerId: number, api: A, request: RequestOf<A>): Promise<ResponseOf<A>>
}
