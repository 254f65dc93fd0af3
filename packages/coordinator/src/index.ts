export type { GroupState } from './groups/classic/classic-group.ts'
export { assignors as consumerAssignors } from './groups/consumer/assignors/index.ts'
export type { DescribedConsumerGroup } from './groups/consumer/consumer-groups.ts'
export type { ConsumerCaller } from './groups/consumer/consumer-room.ts'
export { javaUuidHash } from './groups/consumer/java-order.ts'
export type { TopicsView, TopicView } from './groups/consumer/topics.ts'
export type { ConsumerGroupConfig, ConsumerGroupSettings, GroupCoordinatorConfig } from './groups/group-config.ts'
export { type DescribedGroup, GroupCoordinator, type ListedGroup } from './groups/group-coordinator.ts'
export { type CommittedOffset, decodeGroupRecord, encodeGroupRecord, type GroupRecord } from './groups/group-record.ts'
export type { Caller } from './groups/group-replies.ts'
export type {
  CommitOffsetsRequest,
  CommitResultOfTopic,
  FetchOffsetsRequest,
  OffsetOfPartition,
  OffsetsOfTopic,
  TopicPartitions,
} from './groups/offsets/group-offsets.ts'
export { appendErrorToReply } from './steps/append-error.ts'
export type { Coordinator } from './steps/coordinator.ts'
export type { Instant, MarkerOfTransaction, Reply, Step, Ticket, TransactionOfWrite, Write } from './steps/step.ts'
export type { EndRequest } from './transactions/end-decision.ts'
export type { TopicPartition } from './transactions/topic-partitions.ts'
export { type TransactionState, transactionStates } from './transactions/transaction.ts'
export type { TransactionCoordinatorConfig } from './transactions/transaction-config.ts'
export {
  type DescribedTransaction,
  type InitProducerRequest,
  type ListedTransaction,
  needsProducerId,
  type PartitionsRequest,
  type ProducerReply,
  type Refused,
  TransactionCoordinator,
  type TransactionFilter,
  type VerifyReply,
} from './transactions/transaction-coordinator.ts'
export { decodeTransactionRecord, encodeTransactionRecord, type TransactionRecord } from './transactions/transaction-record.ts'
export type { MarkerOutcome, MarkerResult, MarkerSend } from './transactions/transaction-step.ts'
export { transactionalIdPattern } from './transactions/transactional-id-pattern.ts'
