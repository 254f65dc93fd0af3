import type { BrokerChannel, ControlApi, MetadataImage } from '@tidelog/metadata'
import {
  LeaderAndIsr,
  type LeaderAndIsrRequest,
  type RequestOf,
  type ResponseOf,
  StopReplica,
  type StopReplicaRequest,
  type UpdateMetadataRequest,
} from '@tidelog/protocol'
import type { ReplicaManager } from './replica-manager.ts'

/** The controller's way to the broker it runs in: the same three requests that would reach another one over the network. */
export class LocalBrokerChannel implements BrokerChannel {
  readonly #nodeId: number
  readonly #image: MetadataImage
  readonly #replicas: ReplicaManager

  constructor({ nodeId, image, replicas }: { nodeId: number; image: MetadataImage; replicas: ReplicaManager }) {
    this.#nodeId = nodeId
    this.#image = image
    this.#replicas = replicas
  }

  async send<A extends ControlApi>(brokerId: number, api: A, request: RequestOf<A>): Promise<ResponseOf<A>> {
    if (brokerId !== this.#nodeId) throw new Error(`broker ${brokerId} cannot be reached: this cluster has one broker, ${this.#nodeId}`)
    return (await this.#apply(api, request)) as ResponseOf<A>
  }

  async #apply(api: ControlApi, request: unknown): Promise<unknown> {
    if (api.key === LeaderAndIsr.key) {
      // A log is made with its topic's configurations, so they come first.
      await this.#image.readNewTopicConfigs(request as LeaderAndIsrRequest)
      return this.#replicas.applyLeaderAndIsr(request as LeaderAndIsrRequest)
    }
    if (api.key === StopReplica.key) return this.#replicas.applyStopReplica(request as StopReplicaRequest)
    return this.#image.applyUpdateMetadata(request as UpdateMetadataRequest)
  }
}
