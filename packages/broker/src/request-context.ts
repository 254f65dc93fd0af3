import type { BrokerServices } from './broker-services.ts'
import type { RequestConnection } from './request-connection.ts'

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
  /** Calls `listener` when the reply's bytes have been handed to the system, who needs them no longer; never when the connection is lost before. */
  afterReply(listener: () => void): void
}
