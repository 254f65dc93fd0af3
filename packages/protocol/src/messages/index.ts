import { Produce } from './00-produce.ts'
import { Fetch } from './01-fetch.ts'
import { ListOffsets } from './02-list-offsets.ts'
import { Metadata } from './03-metadata.ts'
import { LeaderAndIsr } from './04-leader-and-isr.ts'
import { StopReplica } from './05-stop-replica.ts'
import { UpdateMetadata } from './06-update-metadata.ts'
import { ControlledShutdown } from './07-controlled-shutdown.ts'
import { OffsetCommit } from './08-offset-commit.ts'
import { OffsetFetch } from './09-offset-fetch.ts'
import { FindCoordinator } from './10-find-coordinator.ts'
import { JoinGroup } from './11-join-group.ts'
import { Heartbeat } from './12-heartbeat.ts'
import { LeaveGroup } from './13-leave-group.ts'
import { SyncGroup } from './14-sync-group.ts'
import { DescribeGroups } from './15-describe-groups.ts'
import { ListGroups } from './16-list-groups.ts'
import { SaslHandshake } from './17-sasl-handshake.ts'
import { ApiVersions } from './18-api-versions.ts'
import { CreateTopics } from './19-create-topics.ts'
import { DeleteTopics } from './20-delete-topics.ts'
import { DeleteRecords } from './21-delete-records.ts'
import { InitProducerId } from './22-init-producer-id.ts'
import { OffsetForLeaderEpoch } from './23-offset-for-leader-epoch.ts'
import { AddPartitionsToTxn } from './24-add-partitions-to-txn.ts'
import { AddOffsetsToTxn } from './25-add-offsets-to-txn.ts'
import { EndTxn } from './26-end-txn.ts'
import { WriteTxnMarkers } from './27-write-txn-markers.ts'
import { TxnOffsetCommit } from './28-txn-offset-commit.ts'
import { DescribeAcls } from './29-describe-acls.ts'
import { CreateAcls } from './30-create-acls.ts'
import { DeleteAcls } from './31-delete-acls.ts'
import { DescribeConfigs } from './32-describe-configs.ts'
import { AlterConfigs } from './33-alter-configs.ts'
import { AlterReplicaLogDirs } from './34-alter-replica-log-dirs.ts'
import { DescribeLogDirs } from './35-describe-log-dirs.ts'
import { SaslAuthenticate } from './36-sasl-authenticate.ts'
import { CreatePartitions } from './37-create-partitions.ts'
import { CreateDelegationToken } from './38-create-delegation-token.ts'
import { RenewDelegationToken } from './39-renew-delegation-token.ts'
import { ExpireDelegationToken } from './40-expire-delegation-token.ts'
import { DescribeDelegationToken } from './41-describe-delegation-token.ts'
import { DeleteGroups } from './42-delete-groups.ts'
import { ElectLeaders } from './43-elect-leaders.ts'
import { IncrementalAlterConfigs } from './44-incremental-alter-configs.ts'
import { AlterPartitionReassignments } from './45-alter-partition-reassignments.ts'
import { ListPartitionReassignments } from './46-list-partition-reassignments.ts'
import { OffsetDelete } from './47-offset-delete.ts'
import { DescribeClientQuotas } from './48-describe-client-quotas.ts'
import { AlterClientQuotas } from './49-alter-client-quotas.ts'
import { DescribeUserScramCredentials } from './50-describe-user-scram-credentials.ts'
import { AlterUserScramCredentials } from './51-alter-user-scram-credentials.ts'
import { Vote } from './52-vote.ts'
import { BeginQuorumEpoch } from './53-begin-quorum-epoch.ts'
import { EndQuorumEpoch } from './54-end-quorum-epoch.ts'
import { DescribeQuorum } from './55-describe-quorum.ts'
import { AlterPartition } from './56-alter-partition.ts'
import { UpdateFeatures } from './57-update-features.ts'
import { Envelope } from './58-envelope.ts'
import { FetchSnapshot } from './59-fetch-snapshot.ts'
import { DescribeCluster } from './60-describe-cluster.ts'
import { DescribeProducers } from './61-describe-producers.ts'
import { BrokerRegistration } from './62-broker-registration.ts'
import { BrokerHeartbeat } from './63-broker-heartbeat.ts'
import { UnregisterBroker } from './64-unregister-broker.ts'
import { DescribeTransactions } from './65-describe-transactions.ts'
import { ListTransactions } from './66-list-transactions.ts'
import { AllocateProducerIds } from './67-allocate-producer-ids.ts'
import { ConsumerGroupHeartbeat } from './68-consumer-group-heartbeat.ts'
import { ConsumerGroupDescribe } from './69-consumer-group-describe.ts'
import { ControllerRegistration } from './70-controller-registration.ts'
import { GetTelemetrySubscriptions } from './71-get-telemetry-subscriptions.ts'
import { PushTelemetry } from './72-push-telemetry.ts'
import { AssignReplicasToDirs } from './73-assign-replicas-to-dirs.ts'
import { ListConfigResources } from './74-list-config-resources.ts'
import { DescribeTopicPartitions } from './75-describe-topic-partitions.ts'
import { ShareGroupHeartbeat } from './76-share-group-heartbeat.ts'
import { ShareGroupDescribe } from './77-share-group-describe.ts'
import { ShareFetch } from './78-share-fetch.ts'
import { ShareAcknowledge } from './79-share-acknowledge.ts'
import { AddRaftVoter } from './80-add-raft-voter.ts'
import { RemoveRaftVoter } from './81-remove-raft-voter.ts'
import { UpdateRaftVoter } from './82-update-raft-voter.ts'
import { InitializeShareGroupState } from './83-initialize-share-group-state.ts'
import { ReadShareGroupState } from './84-read-share-group-state.ts'
import { WriteShareGroupState } from './85-write-share-group-state.ts'
import { DeleteShareGroupState } from './86-delete-share-group-state.ts'
import { ReadShareGroupStateSummary } from './87-read-share-group-state-summary.ts'
import { StreamsGroupHeartbeat } from './88-streams-group-heartbeat.ts'
import { StreamsGroupDescribe } from './89-streams-group-describe.ts'
import { DescribeShareGroupOffsets } from './90-describe-share-group-offsets.ts'
import { AlterShareGroupOffsets } from './91-alter-share-group-offsets.ts'
import { DeleteShareGroupOffsets } from './92-delete-share-group-offsets.ts'

export * from './00-produce.ts'
export * from './01-fetch.ts'
export * from './02-list-offsets.ts'
export * from './03-metadata.ts'
export * from './04-leader-and-isr.ts'
export * from './05-stop-replica.ts'
export * from './06-update-metadata.ts'
export * from './07-controlled-shutdown.ts'
export * from './08-offset-commit.ts'
export * from './09-offset-fetch.ts'
export * from './10-find-coordinator.ts'
export * from './11-join-group.ts'
export * from './12-heartbeat.ts'
export * from './13-leave-group.ts'
export * from './14-sync-group.ts'
export * from './15-describe-groups.ts'
export * from './16-list-groups.ts'
export * from './17-sasl-handshake.ts'
export * from './18-api-versions.ts'
export * from './19-create-topics.ts'
export * from './20-delete-topics.ts'
export * from './21-delete-records.ts'
export * from './22-init-producer-id.ts'
export * from './23-offset-for-leader-epoch.ts'
export * from './24-add-partitions-to-txn.ts'
export * from './25-add-offsets-to-txn.ts'
export * from './26-end-txn.ts'
export * from './27-write-txn-markers.ts'
export * from './28-txn-offset-commit.ts'
export * from './29-describe-acls.ts'
export * from './30-create-acls.ts'
export * from './31-delete-acls.ts'
export * from './32-describe-configs.ts'
export * from './33-alter-configs.ts'
export * from './34-alter-replica-log-dirs.ts'
export * from './35-describe-log-dirs.ts'
export * from './36-sasl-authenticate.ts'
export * from './37-create-partitions.ts'
export * from './38-create-delegation-token.ts'
export * from './39-renew-delegation-token.ts'
export * from './40-expire-delegation-token.ts'
export * from './41-describe-delegation-token.ts'
export * from './42-delete-groups.ts'
export * from './43-elect-leaders.ts'
export * from './44-incremental-alter-configs.ts'
export * from './45-alter-partition-reassignments.ts'
export * from './46-list-partition-reassignments.ts'
export * from './47-offset-delete.ts'
export * from './48-describe-client-quotas.ts'
export * from './49-alter-client-quotas.ts'
export * from './50-describe-user-scram-credentials.ts'
export * from './51-alter-user-scram-credentials.ts'
export * from './52-vote.ts'
export * from './53-begin-quorum-epoch.ts'
export * from './54-end-quorum-epoch.ts'
export * from './55-describe-quorum.ts'
export * from './56-alter-partition.ts'
export * from './57-update-features.ts'
export * from './58-envelope.ts'
export * from './59-fetch-snapshot.ts'
export * from './60-describe-cluster.ts'
export * from './61-describe-producers.ts'
export * from './62-broker-registration.ts'
export * from './63-broker-heartbeat.ts'
export * from './64-unregister-broker.ts'
export * from './65-describe-transactions.ts'
export * from './66-list-transactions.ts'
export * from './67-allocate-producer-ids.ts'
export * from './68-consumer-group-heartbeat.ts'
export * from './69-consumer-group-describe.ts'
export * from './70-controller-registration.ts'
export * from './71-get-telemetry-subscriptions.ts'
export * from './72-push-telemetry.ts'
export * from './73-assign-replicas-to-dirs.ts'
export * from './74-list-config-resources.ts'
export * from './75-describe-topic-partitions.ts'
export * from './76-share-group-heartbeat.ts'
export * from './77-share-group-describe.ts'
export * from './78-share-fetch.ts'
export * from './79-share-acknowledge.ts'
export * from './80-add-raft-voter.ts'
export * from './81-remove-raft-voter.ts'
export * from './82-update-raft-voter.ts'
export * from './83-initialize-share-group-state.ts'
export * from './84-read-share-group-state.ts'
export * from './85-write-share-group-state.ts'
export * from './86-delete-share-group-state.ts'
export * from './87-read-share-group-state-summary.ts'
export * from './88-streams-group-heartbeat.ts'
export * from './89-streams-group-describe.ts'
export * from './90-describe-share-group-offsets.ts'
export * from './91-alter-share-group-offsets.ts'
export * from './92-delete-share-group-offsets.ts'

/** Every message that travels between clients, tools and brokers, by API key. */
export const apis = {
  Produce,
  Fetch,
  ListOffsets,
  Metadata,
  LeaderAndIsr,
  StopReplica,
  UpdateMetadata,
  ControlledShutdown,
  OffsetCommit,
  OffsetFetch,
  FindCoordinator,
  JoinGroup,
  Heartbeat,
  LeaveGroup,
  SyncGroup,
  DescribeGroups,
  ListGroups,
  SaslHandshake,
  ApiVersions,
  CreateTopics,
  DeleteTopics,
  DeleteRecords,
  InitProducerId,
  OffsetForLeaderEpoch,
  AddPartitionsToTxn,
  AddOffsetsToTxn,
  EndTxn,
  WriteTxnMarkers,
  TxnOffsetCommit,
  DescribeAcls,
  CreateAcls,
  DeleteAcls,
  DescribeConfigs,
  AlterConfigs,
  AlterReplicaLogDirs,
  DescribeLogDirs,
  SaslAuthenticate,
  CreatePartitions,
  CreateDelegationToken,
  RenewDelegationToken,
  ExpireDelegationToken,
  DescribeDelegationToken,
  DeleteGroups,
  ElectLeaders,
  IncrementalAlterConfigs,
  AlterPartitionReassignments,
  ListPartitionReassignments,
  OffsetDelete,
  DescribeClientQuotas,
  AlterClientQuotas,
  DescribeUserScramCredentials,
  AlterUserScramCredentials,
  Vote,
  BeginQuorumEpoch,
  EndQuorumEpoch,
  DescribeQuorum,
  AlterPartition,
  UpdateFeatures,
  Envelope,
  FetchSnapshot,
  DescribeCluster,
  DescribeProducers,
  BrokerRegistration,
  BrokerHeartbeat,
  UnregisterBroker,
  DescribeTransactions,
  ListTransactions,
  AllocateProducerIds,
  ConsumerGroupHeartbeat,
  ConsumerGroupDescribe,
  ControllerRegistration,
  GetTelemetrySubscriptions,
  PushTelemetry,
  AssignReplicasToDirs,
  ListConfigResources,
  DescribeTopicPartitions,
  ShareGroupHeartbeat,
  ShareGroupDescribe,
  ShareFetch,
  ShareAcknowledge,
  AddRaftVoter,
  RemoveRaftVoter,
  UpdateRaftVoter,
  InitializeShareGroupState,
  ReadShareGroupState,
  WriteShareGroupState,
  DeleteShareGroupState,
  ReadShareGroupStateSummary,
  StreamsGroupHeartbeat,
  StreamsGroupDescribe,
  DescribeShareGroupOffsets,
  AlterShareGroupOffsets,
  DeleteShareGroupOffsets,
} as const
export type ApiName = keyof typeof apis
