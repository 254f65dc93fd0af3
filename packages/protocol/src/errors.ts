export interface ErrorRow {
  readonly code: number
  /** Kafka's clients send the request again when they see it. */
  readonly retriable: boolean
  readonly meaning: string
}

/** Every error code of the protocol. Source: Kafka 4.3, org.apache.kafka.common.protocol.Errors. */
export const errorTable = {
  UNKNOWN_SERVER_ERROR: { code: -1, retriable: false, meaning: 'the broker failed in a way it has no code for; its log has the stack' },
  NONE: { code: 0, retriable: false, meaning: 'no error' },
  OFFSET_OUT_OF_RANGE: { code: 1, retriable: false, meaning: 'the offset lies outside of the log, before its start or after its end' },
  CORRUPT_MESSAGE: { code: 2, retriable: true, meaning: 'the bytes fail their CRC, or are no batch or message that can be read' },
  UNKNOWN_TOPIC_OR_PARTITION: { code: 3, retriable: true, meaning: 'no such topic or partition here, or it may not be described' },
  INVALID_FETCH_SIZE: { code: 4, retriable: false, meaning: 'the fetch size is invalid' },
  LEADER_NOT_AVAILABLE: { code: 5, retriable: true, meaning: 'the partition has no leader at the moment' },
  NOT_LEADER_OR_FOLLOWER: {
    code: 6,
    retriable: true,
    meaning: 'this broker does not lead the partition, or for fetches does not follow it',
  },
  REQUEST_TIMED_OUT: { code: 7, retriable: true, meaning: 'the request did not finish within its timeout' },
  BROKER_NOT_AVAILABLE: { code: 8, retriable: false, meaning: 'the broker is not available' },
  REPLICA_NOT_AVAILABLE: { code: 9, retriable: true, meaning: 'the replica is not available on this broker' },
  MESSAGE_TOO_LARGE: { code: 10, retriable: false, meaning: 'a batch or request is larger than the broker takes' },
  STALE_CONTROLLER_EPOCH: { code: 11, retriable: false, meaning: "the controller's epoch is older than one already seen" },
  OFFSET_METADATA_TOO_LARGE: { code: 12, retriable: false, meaning: "an offset's metadata string is longer than allowed" },
  NETWORK_EXCEPTION: { code: 13, retriable: true, meaning: 'the connection was lost before a reply came' },
  COORDINATOR_LOAD_IN_PROGRESS: { code: 14, retriable: true, meaning: 'the coordinator is still loading its state' },
  COORDINATOR_NOT_AVAILABLE: { code: 15, retriable: true, meaning: 'there is no coordinator at the moment' },
  NOT_COORDINATOR: { code: 16, retriable: true, meaning: 'this broker is not the coordinator asked for' },
  INVALID_TOPIC_EXCEPTION: {
    code: 17,
    retriable: false,
    meaning: "the topic's name is illegal, or the operation is not allowed on this topic",
  },
  RECORD_LIST_TOO_LARGE: { code: 18, retriable: false, meaning: 'the batches are larger than a segment' },
  NOT_ENOUGH_REPLICAS: {
    code: 19,
    retriable: true,
    meaning: 'the in-sync replicas are fewer than min.insync.replicas; nothing was appended',
  },
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: {
    code: 20,
    retriable: true,
    meaning: 'the in-sync replicas fell below min.insync.replicas after the append',
  },
  INVALID_REQUIRED_ACKS: { code: 21, retriable: false, meaning: 'acks is none of -1, 0 and 1' },
  ILLEGAL_GENERATION: { code: 22, retriable: false, meaning: "the generation is not the group's current one" },
  INCONSISTENT_GROUP_PROTOCOL: {
    code: 23,
    retriable: false,
    meaning: 'the member has no protocol type or assignor in common with the group',
  },
  INVALID_GROUP_ID: { code: 24, retriable: false, meaning: 'the group id is invalid' },
  UNKNOWN_MEMBER_ID: { code: 25, retriable: false, meaning: 'the group has no such member' },
  INVALID_SESSION_TIMEOUT: { code: 26, retriable: false, meaning: 'the session timeout lies outside of the bounds that the broker sets' },
  REBALANCE_IN_PROGRESS: { code: 27, retriable: false, meaning: 'the group is rebalancing; join again' },
  INVALID_COMMIT_OFFSET_SIZE: { code: 28, retriable: false, meaning: 'the offsets to commit are too large' },
  TOPIC_AUTHORIZATION_FAILED: { code: 29, retriable: false, meaning: 'not authorized for the topic' },
  GROUP_AUTHORIZATION_FAILED: { code: 30, retriable: false, meaning: 'not authorized for the group' },
  CLUSTER_AUTHORIZATION_FAILED: { code: 31, retriable: false, meaning: 'not authorized for the cluster' },
  INVALID_TIMESTAMP: { code: 32, retriable: false, meaning: "a record's timestamp lies outside of what is allowed" },
  UNSUPPORTED_SASL_MECHANISM: { code: 33, retriable: false, meaning: 'the broker does not offer the SASL mechanism' },
  ILLEGAL_SASL_STATE: { code: 34, retriable: false, meaning: 'the request does not fit the state of the SASL exchange' },
  UNSUPPORTED_VERSION: { code: 35, retriable: false, meaning: 'the broker does not serve this version of the API' },
  TOPIC_ALREADY_EXISTS: { code: 36, retriable: false, meaning: 'a topic of this name exists, or one whose name collides in metrics' },
  INVALID_PARTITIONS: { code: 37, retriable: false, meaning: 'the number of partitions is invalid' },
  INVALID_REPLICATION_FACTOR: { code: 38, retriable: false, meaning: 'the replication factor is below 1 or above the number of brokers' },
  INVALID_REPLICA_ASSIGNMENT: { code: 39, retriable: false, meaning: 'the assignment of replicas is invalid' },
  INVALID_CONFIG: { code: 40, retriable: false, meaning: 'a configuration is invalid' },
  NOT_CONTROLLER: { code: 41, retriable: true, meaning: 'this broker is not the controller' },
  INVALID_REQUEST: { code: 42, retriable: false, meaning: 'the request is invalid; the log of the broker says why' },
  UNSUPPORTED_FOR_MESSAGE_FORMAT: { code: 43, retriable: false, meaning: 'the message format of the partition does not support this' },
  POLICY_VIOLATION: { code: 44, retriable: false, meaning: 'a policy of the operator forbids the request' },
  OUT_OF_ORDER_SEQUENCE_NUMBER: { code: 45, retriable: false, meaning: "the producer's sequence number does not follow its last one" },
  DUPLICATE_SEQUENCE_NUMBER: { code: 46, retriable: false, meaning: 'the producer sent this sequence number before' },
  INVALID_PRODUCER_EPOCH: { code: 47, retriable: false, meaning: "the producer's epoch is older than the current one" },
  INVALID_TXN_STATE: { code: 48, retriable: false, meaning: 'the operation does not fit the state of the transaction' },
  INVALID_PRODUCER_ID_MAPPING: { code: 49, retriable: false, meaning: 'the producer id is not the one assigned to the transactional id' },
  INVALID_TRANSACTION_TIMEOUT: { code: 50, retriable: false, meaning: 'the transaction timeout is larger than transaction.max.timeout.ms' },
  CONCURRENT_TRANSACTIONS: { code: 51, retriable: true, meaning: "the producer's previous transaction is still being completed" },
  TRANSACTION_COORDINATOR_FENCED: { code: 52, retriable: false, meaning: 'the coordinator that sent the marker has been replaced' },
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: { code: 53, retriable: false, meaning: 'not authorized for the transactional id' },
  SECURITY_DISABLED: { code: 54, retriable: false, meaning: 'security features are disabled' },
  OPERATION_NOT_ATTEMPTED: { code: 55, retriable: false, meaning: 'the operation was not tried because another in the request failed' },
  KAFKA_STORAGE_ERROR: { code: 56, retriable: true, meaning: 'the disk failed under the log' },
  LOG_DIR_NOT_FOUND: { code: 57, retriable: false, meaning: 'no such log directory' },
  SASL_AUTHENTICATION_FAILED: { code: 58, retriable: false, meaning: 'authentication failed' },
  UNKNOWN_PRODUCER_ID: { code: 59, retriable: false, meaning: 'nothing is known of the producer id in this partition' },
  REASSIGNMENT_IN_PROGRESS: { code: 60, retriable: false, meaning: 'a reassignment of the partition is in progress' },
  DELEGATION_TOKEN_AUTH_DISABLED: { code: 61, retriable: false, meaning: 'delegation tokens are not enabled' },
  DELEGATION_TOKEN_NOT_FOUND: { code: 62, retriable: false, meaning: 'no such delegation token' },
  DELEGATION_TOKEN_OWNER_MISMATCH: { code: 63, retriable: false, meaning: 'the principal does not own the delegation token' },
  DELEGATION_TOKEN_REQUEST_NOT_ALLOWED: { code: 64, retriable: false, meaning: 'delegation tokens are not available on this connection' },
  DELEGATION_TOKEN_AUTHORIZATION_FAILED: { code: 65, retriable: false, meaning: 'not authorized for the delegation token' },
  DELEGATION_TOKEN_EXPIRED: { code: 66, retriable: false, meaning: 'the delegation token has expired' },
  INVALID_PRINCIPAL_TYPE: { code: 67, retriable: false, meaning: 'the type of the principal is not supported' },
  NON_EMPTY_GROUP: { code: 68, retriable: false, meaning: 'the group still has members' },
  GROUP_ID_NOT_FOUND: { code: 69, retriable: false, meaning: 'no such group' },
  FETCH_SESSION_ID_NOT_FOUND: { code: 70, retriable: true, meaning: 'no such fetch session' },
  INVALID_FETCH_SESSION_EPOCH: { code: 71, retriable: true, meaning: 'the epoch of the fetch session is not the expected one' },
  LISTENER_NOT_FOUND: { code: 72, retriable: true, meaning: 'the leader has no listener of the name that the request came in through' },
  TOPIC_DELETION_DISABLED: { code: 73, retriable: false, meaning: 'deleting topics is disabled' },
  FENCED_LEADER_EPOCH: { code: 74, retriable: true, meaning: "the leader epoch of the request is older than the partition's" },
  UNKNOWN_LEADER_EPOCH: { code: 75, retriable: true, meaning: 'the leader epoch of the request is newer than any known here' },
  UNSUPPORTED_COMPRESSION_TYPE: {
    code: 76,
    retriable: false,
    meaning: 'the compression type is not supported in this version of the API or message format',
  },
  STALE_BROKER_EPOCH: { code: 77, retriable: false, meaning: "the broker's epoch is older than its registration's" },
  OFFSET_NOT_AVAILABLE: { code: 78, retriable: true, meaning: "the leader's high watermark has not caught up since its election" },
  MEMBER_ID_REQUIRED: { code: 79, retriable: false, meaning: 'the member must join again with the id it was given' },
  PREFERRED_LEADER_NOT_AVAILABLE: { code: 80, retriable: true, meaning: 'the preferred leader is not available' },
  GROUP_MAX_SIZE_REACHED: { code: 81, retriable: false, meaning: 'the group is full' },
  FENCED_INSTANCE_ID: { code: 82, retriable: false, meaning: 'another member has taken the static instance id' },
  ELIGIBLE_LEADERS_NOT_AVAILABLE: { code: 83, retriable: true, meaning: 'no replica that may become leader is available' },
  ELECTION_NOT_NEEDED: { code: 84, retriable: true, meaning: 'no election is needed' },
  NO_REASSIGNMENT_IN_PROGRESS: { code: 85, retriable: false, meaning: 'no reassignment of the partition is in progress' },
  GROUP_SUBSCRIBED_TO_TOPIC: { code: 86, retriable: false, meaning: 'a member of the group is subscribed to the topic' },
  INVALID_RECORD: { code: 87, retriable: false, meaning: 'a record breaks the rules of the format or of the topic' },
  UNSTABLE_OFFSET_COMMIT: { code: 88, retriable: true, meaning: 'the offset belongs to a transaction that is still open' },
  THROTTLING_QUOTA_EXCEEDED: { code: 89, retriable: true, meaning: 'a quota on cluster mutations is used up' },
  PRODUCER_FENCED: { code: 90, retriable: false, meaning: 'a newer producer has taken the transactional id' },
  RESOURCE_NOT_FOUND: { code: 91, retriable: false, meaning: 'no such resource' },
  DUPLICATE_RESOURCE: { code: 92, retriable: false, meaning: 'the resource is named twice, or exists' },
  UNACCEPTABLE_CREDENTIAL: { code: 93, retriable: false, meaning: 'the credential is not acceptable' },
  INCONSISTENT_VOTER_SET: { code: 94, retriable: false, meaning: 'the voters named are not those known' },
  INVALID_UPDATE_VERSION: { code: 95, retriable: false, meaning: 'the version of the update is invalid' },
  FEATURE_UPDATE_FAILED: { code: 96, retriable: false, meaning: 'the feature could not be updated' },
  PRINCIPAL_DESERIALIZATION_FAILURE: { code: 97, retriable: false, meaning: 'a principal of a forwarded request cannot be read' },
  SNAPSHOT_NOT_FOUND: { code: 98, retriable: false, meaning: 'no such snapshot' },
  POSITION_OUT_OF_RANGE: { code: 99, retriable: false, meaning: 'the position lies outside of the snapshot' },
  UNKNOWN_TOPIC_ID: { code: 100, retriable: true, meaning: 'no topic has this id' },
  DUPLICATE_BROKER_REGISTRATION: { code: 101, retriable: false, meaning: 'the broker id is registered by another broker' },
  BROKER_ID_NOT_REGISTERED: { code: 102, retriable: false, meaning: 'the broker id is not registered' },
  INCONSISTENT_TOPIC_ID: { code: 103, retriable: true, meaning: "the topic's id is not the one in the log" },
  INCONSISTENT_CLUSTER_ID: { code: 104, retriable: false, meaning: "the cluster's id is not the one stored" },
  TRANSACTIONAL_ID_NOT_FOUND: { code: 105, retriable: false, meaning: 'no such transactional id' },
  FETCH_SESSION_TOPIC_ID_ERROR: { code: 106, retriable: true, meaning: 'the fetch session does not agree on the use of topic ids' },
  INELIGIBLE_REPLICA: { code: 107, retriable: false, meaning: 'the replica may not join the in-sync replicas' },
  NEW_LEADER_ELECTED: { code: 108, retriable: false, meaning: 'the in-sync replicas changed together with the leader' },
  OFFSET_MOVED_TO_TIERED_STORAGE: { code: 109, retriable: false, meaning: 'the offset has moved to tiered storage' },
  FENCED_MEMBER_EPOCH: { code: 110, retriable: false, meaning: "the member's epoch is not the one the coordinator knows" },
  UNRELEASED_INSTANCE_ID: { code: 111, retriable: false, meaning: 'the static instance id is in use by another member' },
  UNSUPPORTED_ASSIGNOR: { code: 112, retriable: false, meaning: 'the group does not support the assignor' },
  STALE_MEMBER_EPOCH: { code: 113, retriable: false, meaning: "the member's epoch is older than the one the coordinator knows" },
  MISMATCHED_ENDPOINT_TYPE: {
    code: 114,
    retriable: false,
    meaning: 'the request went to a broker that should go to a controller, or the reverse',
  },
  UNSUPPORTED_ENDPOINT_TYPE: { code: 115, retriable: false, meaning: 'the type of endpoint is unknown' },
  UNKNOWN_CONTROLLER_ID: { code: 116, retriable: false, meaning: 'the controller id is unknown' },
  UNKNOWN_SUBSCRIPTION_ID: { code: 117, retriable: false, meaning: 'the broker has no such telemetry subscription' },
  TELEMETRY_TOO_LARGE: { code: 118, retriable: false, meaning: 'the telemetry is larger than the broker takes' },
  INVALID_REGISTRATION: { code: 119, retriable: false, meaning: "the broker's registration is invalid" },
  TRANSACTION_ABORTABLE: { code: 120, retriable: false, meaning: 'the transaction cannot go on; abort it' },
  INVALID_RECORD_STATE: { code: 121, retriable: false, meaning: 'the state of the record does not allow this acknowledgement' },
  SHARE_SESSION_NOT_FOUND: { code: 122, retriable: true, meaning: 'no such share session' },
  INVALID_SHARE_SESSION_EPOCH: { code: 123, retriable: true, meaning: 'the epoch of the share session is not the expected one' },
  FENCED_STATE_EPOCH: { code: 124, retriable: false, meaning: "the state epoch is older than the share coordinator's" },
  INVALID_VOTER_KEY: { code: 125, retriable: false, meaning: "the voter's id and directory id do not match" },
  DUPLICATE_VOTER: { code: 126, retriable: false, meaning: 'the voter is already part of the quorum' },
  VOTER_NOT_FOUND: { code: 127, retriable: false, meaning: 'the voter is not part of the quorum' },
  INVALID_REGULAR_EXPRESSION: { code: 128, retriable: false, meaning: 'the regular expression is invalid' },
  REBOOTSTRAP_REQUIRED: { code: 129, retriable: false, meaning: "the client's metadata is too old; bootstrap again" },
  STREAMS_INVALID_TOPOLOGY: { code: 130, retriable: false, meaning: 'the streams topology is invalid' },
  STREAMS_INVALID_TOPOLOGY_EPOCH: { code: 131, retriable: false, meaning: 'the epoch of the streams topology is invalid' },
  STREAMS_TOPOLOGY_FENCED: { code: 132, retriable: false, meaning: "the epoch of the streams topology is older than the group's" },
  SHARE_SESSION_LIMIT_REACHED: { code: 133, retriable: true, meaning: 'the broker keeps no more share sessions' },
} as const satisfies Record<string, ErrorRow>

export type ErrorName = keyof typeof errorTable

const namesByCode = new Map<number, ErrorName>()
for (const [name, { code }] of Object.entries(errorTable)) namesByCode.set(code, name as ErrorName)

/** The name of a code from the wire; a code that is not in the table is UNKNOWN_SERVER_ERROR, as in Kafka's clients. */
export function errorName(code: number): ErrorName {
  return namesByCode.get(code) ?? 'UNKNOWN_SERVER_ERROR'
}

/** The table's row of a code from the wire, with its name; UNKNOWN_SERVER_ERROR's for a code that is not in the table. */
export function errorByCode(code: number): ErrorRow & { readonly errorName: ErrorName } {
  const name = errorName(code)
  return { errorName: name, ...errorTable[name] }
}

/** What a request is answered with when it cannot be served: bad input, a wrong moment, a broken disk. Our own defects are other errors. */
export class KafkaError extends Error {
  override readonly name = 'KafkaError'
  readonly errorName: ErrorName
  readonly code: number
  readonly retriable: boolean

  /** @param message For people; what the error means when absent. */
  constructor(errorName: ErrorName, message?: string, options?: ErrorOptions) {
    const row = errorTable[errorName]
    super(message ?? row.meaning, options)
    this.errorName = errorName
    this.code = row.code
    this.retriable = row.retriable
  }
}
