export { type Clock, createLogger, type Logger, type LoggerOptions, type LogLevel, type Random } from '@tidelog/core'
export type { Exchange, ExchangeObserver } from '@tidelog/net'
export type { AclOperation } from './admin/acl-operations.ts'
export type * from './admin/acls.ts'
export { Admin } from './admin/admin.ts'
export type { AdminCallOptions } from './admin/admin-client.ts'
export type { AdminOptions } from './admin/admin-options.ts'
export type * from './admin/client-quotas.ts'
export type * from './admin/cluster-state.ts'
export type * from './admin/configs.ts'
export type * from './admin/delegation-tokens.ts'
export type * from './admin/features.ts'
export type * from './admin/group-offsets.ts'
export type * from './admin/groups.ts'
export type * from './admin/log-dirs.ts'
export type * from './admin/quorum.ts'
export type * from './admin/reassignments.ts'
export type * from './admin/scram-credentials.ts'
export type * from './admin/share-groups.ts'
export type * from './admin/streams-groups.ts'
export type * from './admin/topics.ts'
export type * from './admin/transactions.ts'
export type { FoundOffset, IsolationLevel, OffsetQuery, OffsetSpec } from './cluster/list-offsets.ts'
export type { BrokerNode, PartitionInfo, TopicInfo } from './cluster/metadata-cache.ts'
export type {
  Assignor,
  GroupAssignment,
  GroupMember,
  ImmediateAssignor,
  MemberAssignment,
  RebalanceProtocol,
} from './consumer/assignors/assignor.ts'
export { rangeAssignor } from './consumer/assignors/range-assignor.ts'
export { roundRobinAssignor } from './consumer/assignors/round-robin-assignor.ts'
export { cooperativeStickyAssignor, stickyAssignor } from './consumer/assignors/sticky-assignor.ts'
export { ConsumedBatch } from './consumer/consumed-batch.ts'
export { type CallOptions, type CloseOptions, Consumer, type ConsumerGroupMetadata, type PollOptions } from './consumer/consumer.ts'
export type { ConsumerInterceptor } from './consumer/consumer-interceptor.ts'
export type { AssignorName, ConsumerOptions, RebalanceListener } from './consumer/consumer-options.ts'
export { ConsumerRecord } from './consumer/consumer-record.ts'
export type { GroupMembershipOperation } from './consumer/membership/membership.ts'
export type { HandlerContext, RunOptions } from './consumer/partition-runner.ts'
export { PolledRecords } from './consumer/polled-records.ts'
export { SubscriptionPattern } from './consumer/subscription.ts'
export type { Environment } from './environment.ts'
export {
  AuthenticationError,
  BrokerError,
  ClientError,
  type ClientErrorTraits,
  ClosedError,
  CommitFailedError,
  CorruptRecordError,
  DisconnectedError,
  hasCode,
  IllegalStateError,
  InvalidOptionError,
  isFatal,
  isRetriable,
  LogTruncationError,
  MalformedResponseError,
  NoOffsetError,
  PartialFailureError,
  ProducerFencedError,
  RecordTooLargeError,
  SchemaRegistryError,
  SerializationError,
  TimeoutError,
  TlsError,
  TransactionAbortableError,
  TransactionAbortedError,
  UnresolvedHostError,
  UnsupportedVersionError,
} from './errors.ts'
export { fromProperties, type PropertiesOptions } from './from-properties.ts'
export type { Metric } from './metrics.ts'
export { type Partitioner, roundRobinPartitioner } from './producer/partitioner.ts'
export { Producer } from './producer/producer.ts'
export type { ProducerInterceptor } from './producer/producer-interceptor.ts'
export type { ProducerOptions } from './producer/producer-options.ts'
export type { HeadersInput, OnDelivery, ProducerRecord, RecordMetadata } from './producer/producer-record.ts'
export type { WritableOptions } from './producer/producer-streams.ts'
export type { RecordSender, Transaction } from './producer/transactions/transaction.ts'
export type { TransactionGroup } from './producer/transactions/transaction-requests.ts'
export type { OAuthBearerToken } from './security/sasl/oauth-bearer.ts'
export type { SaslContext, SaslExchange, SaslMechanism } from './security/sasl/sasl-mechanism.ts'
export type { ConnectionOptions, PasswordLogin, SaslOptions, TokenLogin } from './security/security.ts'
export type { TlsOptions } from './security/tls-settings.ts'
export {
  bigint64,
  boolean,
  bytes,
  type Deserializer,
  type DeserializerContext,
  type DeserializerOption,
  float32,
  float64,
  type HeaderInput,
  int16,
  int32,
  int64,
  json,
  type Serde,
  type SerdeContext,
  type Serializer,
  type SerializerContext,
  type SerializerOption,
  string,
  synchronous,
  uuid,
} from './serde/serde.ts'
export type { AcknowledgementOutcome, AcknowledgeType } from './share/acknowledgements.ts'
export { ShareConsumer, type SharePollOptions, type ShareRunOptions } from './share/share-consumer.ts'
export type { ShareConsumerOptions } from './share/share-consumer-options.ts'
export { ShareRecord } from './share/share-record.ts'
export type { MetricForSubscription } from './telemetry/metric-for-subscription.ts'
export { type OffsetAndMetadata, PartitionMap, type TopicPartition } from './topic-partition.ts'
export type { WaitOptions } from './wait.ts'
