import type { BrokerServices } from './broker-services.ts'

/** Who sent a request. Without SASL or TLS every client is `User:ANONYMOUS`. Source: KIP-11. */
export interface Principal {
  readonly type: string
  readonly name: string
}

/** What may be done to a resource; names as in Kafka's ACL API. */
export type AclOperation =
  | 'Read'
  | 'Write'
  | 'Create'
  | 'Delete'
  | 'Alter'
  | 'Describe'
  | 'ClusterAction'
  | 'DescribeConfigs'
  | 'AlterConfigs'
  | 'IdempotentWrite'

export type AclResourceType = 'Topic' | 'Group' | 'Cluster' | 'TransactionalId'

/** The connection a request came on. */
export interface RequestConnection {
  /** `local address:port-remote address:port-sequence`, unique while the broker runs. */
  readonly id: string
  /** The peer's IP address; Kafka shows it as `/127.0.0.1` in group descriptions. */
  readonly remoteAddress: string
  readonly remotePort: number
  readonly listenerName: string
  /** What the client told in ApiVersions 3 and later, empty before. Source: KIP-511. */
  clientSoftwareName: string
  clientSoftwareVersion: string
  /** True once the socket is gone; an answer is then dropped. */
  readonly closed: boolean
  /** Calls `listener` once when the connection closes; the returned function takes it back. */
  onClose(listener: () => void): () => void
}

/** One request's surroundings, given to its handler. */
export interface RequestContext {
  readonly apiName: string
  readonly apiVersion: number
  readonly correlationId: number
  readonly clientId: string | null
  readonly connection: RequestConnection
  readonly principal: Principal
  readonly broker: BrokerServices
  /**
   * @param name The resource's name; `kafka-cluster` for the cluster.
   * @throws KafkaError TOPIC_, GROUP_, CLUSTER_ or TRANSACTIONAL_ID_AUTHORIZATION_FAILED (by type). Without an authorizer all is allowed.
   */
  authorize(operation: AclOperation, type: AclResourceType, name: string): void
  /** The same as a question: for answers that leave out what the caller may not see. */
  isAuthorized(operation: AclOperation, type: AclResourceType, name: string): boolean
}
