import type { Clock, Logger, Offload, Random } from '@tidelog/core'
import type { Controller, MetadataImage, ProducerIdAllocator, SupportedFeatures } from '@tidelog/metadata'
import type { ApiVersions, ResponseInput } from '@tidelog/protocol'
import type { LogManager } from '@tidelog/storage'
import type { AutoTopicCreation } from './auto-topic-creation.ts'
import type { BrokerConfig } from './config/broker-config.ts'
import type { ConfigService } from './config/config-service.ts'
import type { GroupCoordinatorService } from './coordinators/group-coordinator-service.ts'
import type { TransactionCoordinatorService } from './coordinators/transaction-coordinator-service.ts'
import type { FetchPurgatory } from './replicas/fetch-purgatory.ts'
import type { FetchSessions } from './replicas/fetch-sessions.ts'
import type { ReplicaManager } from './replicas/replica-manager.ts'
import type { MarkerWriter } from './transactions/marker-writer.ts'
import type { PartitionVerifier } from './transactions/partition-verifier.ts'

/**
 * What a broker hands to its handlers: one instance a broker, built by `startBroker` before the first connection is served.
 * A service appears here with the room that implements it.
 */
export interface BrokerServices {
  readonly nodeId: number
  readonly clusterId: string
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly offload: Offload
  /** Live: a dynamic change shows at once. */
  readonly config: BrokerConfig
  /** What is configured, here and in the store, and the way to change it. */
  readonly configs: ConfigService
  /** In order of key; what ApiVersions answers with. */
  readonly announcedApis: ResponseInput<typeof ApiVersions>['apiKeys']
  /** Feature levels that this broker can run; the image has those that the cluster runs. */
  readonly supportedFeatures: SupportedFeatures
  /** This broker's view of the cluster. */
  readonly image: MetadataImage
  /** Decides when this broker is the controller, else refuses. */
  readonly controller: Controller
  readonly producerIds: ProducerIdAllocator
  readonly autoTopicCreation: AutoTopicCreation
  /** What is on this broker's disks. */
  readonly logs: LogManager
  /** The partitions this broker hosts. */
  readonly replicas: ReplicaManager
  readonly groups: GroupCoordinatorService
  readonly transactions: TransactionCoordinatorService
  /** Asks transaction coordinators for the partitions that this broker leads. */
  readonly verifier: PartitionVerifier
  /** Ends transactions in the partitions that this broker leads. */
  readonly markerWriter: MarkerWriter
  readonly fetchSessions: FetchSessions
  readonly fetchPurgatory: FetchPurgatory
}
