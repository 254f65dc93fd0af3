import { silentLogger, systemClock, systemRandom } from '@tidelog/core'
import { Cluster } from '../cluster/cluster.ts'
import { connectionMetrics } from '../cluster/connection-metrics.ts'
import type { FoundOffset, IsolationLevel, OffsetQuery } from '../cluster/list-offsets.ts'
import { bootstrapControllersOf } from '../config/admin-config.ts'
import type { Metric } from '../metrics.ts'
import { type MetricForSubscription, Telemetry } from '../telemetry/telemetry.ts'
import type { OffsetAndMetadata, PartitionMap, TopicPartition } from '../topic-partition.ts'
import * as acls from './acls.ts'
import { type AdminCallOptions, type AdminContext, callOptions, type ValidateOnly } from './admin-client.ts'
import { type AdminOptions, resolveAdminOptions } from './admin-options.ts'
import * as quotas from './client-quotas.ts'
import * as state from './cluster-state.ts'
import * as configs from './configs.ts'
import * as tokens from './delegation-tokens.ts'
import * as features from './features.ts'
import * as groupOffsets from './group-offsets.ts'
import * as groups from './groups.ts'
import * as logDirs from './log-dirs.ts'
import * as quorum from './quorum.ts'
import * as reassignments from './reassignments.ts'
import * as scram from './scram-credentials.ts'
import * as shareGroups from './share-groups.ts'
import * as streamsGroups from './streams-groups.ts'
import * as topics from './topics.ts'
import * as transactions from './transactions.ts'

/**
 * Manages a cluster; one method per operation of Java's Admin. Every call is retried until its `timeoutMs` (`defaultApiTimeoutMs`).
 * A call about one thing throws its BrokerError; a call about several throws a PartialFailureError that tells which failed.
 */
export class Admin {
  readonly #context: AdminContext
  readonly #telemetry: Telemetry

  /** @throws InvalidOptionError that names the option. */
  constructor(options: AdminOptions) {
    const config = resolveAdminOptions(options)
    const { clock = systemClock, random = systemRandom, logger = silentLogger, observer } = options
    const base = { client: 'admin client', config, clock, random, logger, observer, connection: options }
    const cluster = new Cluster({ ...base, allowAutoTopicCreation: false, bootstrapControllers: bootstrapControllersOf(config) })
    this.#context = { cluster, config }
    this.#telemetry = new Telemetry({ cluster, metrics: () => this.metrics() })
  }

  // --- topics ------------------------------------------------------------------------------------------------------------------------

  /** Resolves when the topics are made: on Apache Kafka a moment may pass until every broker knows them. */
  createTopics(
    newTopics: readonly topics.NewTopic[],
    options: ValidateOnly<topics.TopicMutationOptions> = {},
  ): Promise<topics.CreatedTopic[]> {
    return topics.createTopics(this.#context, newTopics, options)
  }

  /** By name, or by id: `{ topicIds }`. */
  deleteTopics(topicsToDelete: topics.TopicsToFind, options: topics.TopicMutationOptions = {}): Promise<void> {
    return topics.deleteTopics(this.#context, topicsToDelete, options)
  }

  /** In order of name. */
  listTopics(options: AdminCallOptions & { readonly includeInternal?: boolean } = {}): Promise<topics.TopicListing[]> {
    return topics.listTopics(this.#context, options)
  }

  /** By name; by id when `{ topicIds }` are asked for. */
  describeTopics(
    topicsToDescribe: topics.TopicsToFind,
    options: topics.DescribeTopicsOptions = {},
  ): Promise<Map<string, topics.TopicDescription>> {
    return topics.describeTopics(this.#context, topicsToDescribe, options)
  }

  /** Raises the number of partitions: keys may then go to others than before. */
  createPartitions(newPartitions: readonly topics.NewPartitions[], options: ValidateOnly<topics.TopicMutationOptions> = {}): Promise<void> {
    return topics.createPartitions(this.#context, newPartitions, options)
  }

  // --- configurations ----------------------------------------------------------------------------------------------------------------

  /** In the order of `resources`. */
  describeConfigs(
    resources: readonly configs.ConfigResource[],
    options: configs.DescribeConfigsOptions = {},
  ): Promise<configs.ResourceConfigs[]> {
    return configs.describeConfigs(this.#context, resources, options)
  }

  /** Changes single configurations and leaves the others alone. */
  incrementalAlterConfigs(changes: readonly configs.ResourceChange[], options: ValidateOnly = {}): Promise<void> {
    return configs.incrementalAlterConfigs(this.#context, changes, options)
  }

  /** Replaces all dynamic configurations of each resource: what is not named goes back to its default. */
  alterConfigs(changes: readonly configs.ResourceReplacement[], options: ValidateOnly = {}): Promise<void> {
    return configs.alterConfigs(this.#context, changes, options)
  }

  /** Resources that have dynamic configurations; of all types when none is given. */
  listConfigResources(
    types: readonly configs.ConfigResourceType[] = [],
    options: AdminCallOptions = {},
  ): Promise<{ type: configs.ConfigResourceType | 'unknown'; name: string }[]> {
    return configs.listConfigResources(this.#context, types, options)
  }

  /** Subscriptions of client metrics (KIP-714), by name. */
  async listClientMetricsResources(options: AdminCallOptions = {}): Promise<string[]> {
    return (await configs.listConfigResources(this.#context, ['client-metrics'], options)).map(({ name }) => name)
  }

  // --- cluster, offsets, records -----------------------------------------------------------------------------------------------------

  /** Brokers, controller and id. */
  describeCluster(options: state.DescribeClusterOptions = {}): Promise<state.ClusterDescription> {
    return state.describeCluster(this.#context, options)
  }

  /** In the order of `queries`. */
  listOffsets(
    queries: readonly OffsetQuery[],
    options: AdminCallOptions & { readonly isolationLevel?: IsolationLevel } = {},
  ): Promise<(TopicPartition & FoundOffset)[]> {
    return state.listOffsets(this.#context, queries, options)
  }

  /** In the order of `records`. */
  deleteRecords(records: readonly state.RecordsToDelete[], options: AdminCallOptions = {}): Promise<state.DeletedRecords[]> {
    return state.deleteRecords(this.#context, records, options)
  }

  /** In the order of `partitions`. */
  describeProducers(
    partitions: readonly TopicPartition[],
    options: state.DescribeProducersOptions = {},
  ): Promise<state.PartitionProducers[]> {
    return state.describeProducers(this.#context, partitions, options)
  }

  /** Has leaders elected: the preferred replicas, or also such as are out of sync (`unclean`, which may lose records); null: of all partitions. */
  electLeaders(
    type: 'preferred' | 'unclean',
    partitions: readonly TopicPartition[] | null,
    options: AdminCallOptions = {},
  ): Promise<state.ElectedPartition[]> {
    return state.electLeaders(this.#context, type, partitions, options)
  }

  /** Moves partitions to other brokers; resolves when that has begun: `listPartitionReassignments` tells what is under way. */
  alterPartitionReassignments(
    changes: readonly reassignments.NewPartitionReassignment[],
    options: reassignments.AlterPartitionReassignmentsOptions = {},
  ): Promise<void> {
    return reassignments.alterPartitionReassignments(this.#context, changes, options)
  }

  /** Of all partitions when none are given. */
  listPartitionReassignments(
    partitions?: readonly TopicPartition[],
    options: AdminCallOptions = {},
  ): Promise<reassignments.PartitionReassignment[]> {
    return reassignments.listPartitionReassignments(this.#context, partitions, options)
  }

  // --- log dirs ----------------------------------------------------------------------------------------------------------------------

  /** By node id. */
  describeLogDirs(options: logDirs.DescribeLogDirsOptions = {}): Promise<Map<number, logDirs.LogDirDescription[]>> {
    return logDirs.describeLogDirs(this.#context, options)
  }

  /**
   * Moves replicas to other log dirs of their brokers while they are in use, and resolves when the moves have begun: `describeReplicaLogDirs` tells how far
   * they are. A replica that its broker does not have yet will be made in that directory.
   */
  alterReplicaLogDirs(moves: readonly logDirs.ReplicaMove[], options: AdminCallOptions = {}): Promise<void> {
    return logDirs.alterReplicaLogDirs(this.#context, moves, options)
  }

  /** In the order of `replicas`. */
  describeReplicaLogDirs(
    replicas: readonly logDirs.TopicPartitionReplica[],
    options: AdminCallOptions = {},
  ): Promise<logDirs.ReplicaLogDirs[]> {
    return logDirs.describeReplicaLogDirs(this.#context, replicas, options)
  }

  // --- features ----------------------------------------------------------------------------------------------------------------------

  /** Levels that the cluster has finalized, and those that a broker supports. */
  describeFeatures(options: features.DescribeFeaturesOptions = {}): Promise<features.FeatureMetadata> {
    return features.describeFeatures(this.#context, options)
  }

  /** Changes the levels that the cluster runs, all that are asked for or none. */
  updateFeatures(updates: readonly features.FeatureUpdate[], options: ValidateOnly = {}): Promise<void> {
    return features.updateFeatures(this.#context, updates, options)
  }

  // --- controllers and brokers ------------------------------------------------------------------------------------------------------

  /** The quorum of controllers. */
  describeMetadataQuorum(options: AdminCallOptions = {}): Promise<quorum.QuorumInfo> {
    return quorum.describeMetadataQuorum(this.#context, options)
  }

  /** KIP-853. */
  addRaftVoter(
    voter: quorum.RaftVoter & { readonly endpoints: readonly quorum.RaftVoterEndpoint[] },
    options: quorum.RaftVoterOptions = {},
  ): Promise<void> {
    return quorum.addRaftVoter(this.#context, voter, options)
  }

  /** KIP-853. */
  removeRaftVoter(voter: quorum.RaftVoter, options: quorum.RaftVoterOptions = {}): Promise<void> {
    return quorum.removeRaftVoter(this.#context, voter, options)
  }

  /** Forgets a broker that is gone for good. */
  unregisterBroker(brokerId: number, options: AdminCallOptions = {}): Promise<void> {
    return quorum.unregisterBroker(this.#context, brokerId, options)
  }

  // --- security and quotas -----------------------------------------------------------------------------------------------------------

  /** Those that are there already change nothing. */
  createAcls(bindings: readonly acls.AclBinding[], options: AdminCallOptions = {}): Promise<void> {
    return acls.createAcls(this.#context, bindings, options)
  }

  /** Those that the filter matches; all when it is empty. */
  describeAcls(filter: acls.AclFilter = {}, options: AdminCallOptions = {}): Promise<acls.AclBinding[]> {
    return acls.describeAcls(this.#context, filter, options)
  }

  /** @returns What was deleted for each filter, in their order. */
  deleteAcls(filters: readonly acls.AclFilter[], options: AdminCallOptions = {}): Promise<acls.AclBinding[][]> {
    return acls.deleteAcls(this.#context, filters, options)
  }

  /** By user; of all users when none are given. */
  describeUserScramCredentials(
    users?: readonly string[],
    options: AdminCallOptions = {},
  ): Promise<Map<string, scram.ScramCredentialInfo[]>> {
    return scram.describeUserScramCredentials(this.#context, users, options)
  }

  /** One alteration a user: brokers refuse more of one user in a call. */
  alterUserScramCredentials(alterations: readonly scram.UserScramCredentialAlteration[], options: AdminCallOptions = {}): Promise<void> {
    return scram.alterUserScramCredentials(this.#context, alterations, options)
  }

  /** A way to log in for who has no password. KIP-48. */
  createDelegationToken(options: tokens.CreateDelegationTokenOptions = {}): Promise<tokens.DelegationToken> {
    return tokens.createDelegationToken(this.#context, options)
  }

  /** @returns When it ends now, in ms since the Unix epoch. */
  renewDelegationToken(hmac: Uint8Array, options: tokens.RenewDelegationTokenOptions = {}): Promise<number> {
    return tokens.renewDelegationToken(this.#context, hmac, options)
  }

  /** @returns When it ends now, in ms since the Unix epoch. */
  expireDelegationToken(hmac: Uint8Array, options: tokens.ExpireDelegationTokenOptions = {}): Promise<number> {
    return tokens.expireDelegationToken(this.#context, hmac, options)
  }

  /** Those that this client may see. */
  describeDelegationToken(options: tokens.DescribeDelegationTokenOptions = {}): Promise<tokens.DelegationToken[]> {
    return tokens.describeDelegationToken(this.#context, options)
  }

  /** Quotas as they are configured; of all entities without a filter. */
  describeClientQuotas(
    filter: quotas.ClientQuotaFilter = { components: [] },
    options: AdminCallOptions = {},
  ): Promise<quotas.ClientQuotas[]> {
    return quotas.describeClientQuotas(this.#context, filter, options)
  }

  /** Sets quotas, and removes those whose value is null. */
  alterClientQuotas(alterations: readonly quotas.ClientQuotaAlteration[], options: ValidateOnly = {}): Promise<void> {
    return quotas.alterClientQuotas(this.#context, alterations, options)
  }

  // --- groups ------------------------------------------------------------------------------------------------------------------------

  /** In order of id. */
  listGroups(options: groups.ListGroupsOptions = {}): Promise<groups.GroupListing[]> {
    return groups.listGroups(this.#context, options)
  }

  /** As `listGroups`, of consumers only, and of clients that only commit offsets. */
  listConsumerGroups(options: Omit<groups.ListGroupsOptions, 'protocolTypes'> = {}): Promise<groups.GroupListing[]> {
    return groups.listGroups(this.#context, { ...options, protocolTypes: groups.consumerProtocolTypes })
  }

  /** Groups of consumers of either protocol, by id. */
  describeConsumerGroups(
    groupIds: readonly string[],
    options: groups.DescribeGroupsOptions = {},
  ): Promise<Map<string, groups.ConsumerGroupDescription>> {
    return groups.describeConsumerGroups(this.#context, groupIds, options)
  }

  /** Classic groups of any protocol type, by id. */
  describeClassicGroups(
    groupIds: readonly string[],
    options: groups.DescribeGroupsOptions = {},
  ): Promise<Map<string, groups.GroupDescription>> {
    return groups.describeClassicGroups(this.#context, groupIds, options)
  }

  /** Groups without members, with their offsets. */
  deleteConsumerGroups(groupIds: readonly string[], options: AdminCallOptions = {}): Promise<void> {
    return groups.deleteGroups(this.#context, 'deleteConsumerGroups', groupIds, options)
  }

  /** Committed offsets; partitions without one are left out. Of several groups, by id: which partitions of each, or undefined for all. */
  listConsumerGroupOffsets(groupId: string, options?: groupOffsets.ListGroupOffsetsOptions): Promise<PartitionMap<OffsetAndMetadata>>
  listConsumerGroupOffsets(
    specs: groupOffsets.GroupOffsetsSpecs,
    options?: groupOffsets.ListOffsetsOfGroupsOptions,
  ): Promise<Map<string, PartitionMap<OffsetAndMetadata>>>
  listConsumerGroupOffsets(groups: string | groupOffsets.GroupOffsetsSpecs, options: groupOffsets.ListGroupOffsetsOptions = {}) {
    return groupOffsets.listGroupOffsets(this.#context, 'listConsumerGroupOffsets', groups, options)
  }

  /** The group must have no members. */
  alterConsumerGroupOffsets(
    groupId: string,
    offsets: readonly (TopicPartition & OffsetAndMetadata)[],
    options: AdminCallOptions = {},
  ): Promise<void> {
    return groupOffsets.alterGroupOffsets(this.#context, 'alterConsumerGroupOffsets', groupId, offsets, options)
  }

  /** Of topics that no member subscribes to. */
  deleteConsumerGroupOffsets(groupId: string, partitions: readonly TopicPartition[], options: AdminCallOptions = {}): Promise<void> {
    return groupOffsets.deleteGroupOffsets(this.#context, 'deleteConsumerGroupOffsets', groupId, partitions, options)
  }

  /** Static members by `groupInstanceId`, others by `memberId`; `all` that are there now. */
  removeMembersFromConsumerGroup(
    groupId: string,
    members: readonly groups.MemberToRemove[] | 'all',
    options: AdminCallOptions & { readonly reason?: string } = {},
  ): Promise<void> {
    return groups.removeMembersFromConsumerGroup(this.#context, groupId, members, options)
  }

  // --- share groups (KIP-932) --------------------------------------------------------------------------------------------------------

  /** By id. */
  describeShareGroups(
    groupIds: readonly string[],
    options: groups.DescribeGroupsOptions = {},
  ): Promise<Map<string, shareGroups.ShareGroupDescription>> {
    return shareGroups.describeShareGroups(this.#context, groupIds, options)
  }

  /** Groups without members. */
  deleteShareGroups(groupIds: readonly string[], options: AdminCallOptions = {}): Promise<void> {
    return groups.deleteGroups(this.#context, 'deleteShareGroups', groupIds, options)
  }

  /** Where groups stand, as `listConsumerGroupOffsets`. */
  listShareGroupOffsets(
    specs: groupOffsets.GroupOffsetsSpecs,
    options: AdminCallOptions = {},
  ): Promise<Map<string, PartitionMap<shareGroups.SharePartitionOffset>>> {
    return shareGroups.listShareGroupOffsets(this.#context, specs, options)
  }

  /** Has the group go on from these offsets; it must have no members. */
  alterShareGroupOffsets(
    groupId: string,
    offsets: readonly (TopicPartition & { readonly offset: number })[],
    options: AdminCallOptions = {},
  ): Promise<void> {
    return shareGroups.alterShareGroupOffsets(this.#context, groupId, offsets, options)
  }

  /** Of whole topics; the group must have no members. */
  deleteShareGroupOffsets(groupId: string, topics: readonly string[], options: AdminCallOptions = {}): Promise<void> {
    return shareGroups.deleteShareGroupOffsets(this.#context, groupId, topics, options)
  }

  // --- streams groups (KIP-1071) -----------------------------------------------------------------------------------------------------

  /** By id. */
  describeStreamsGroups(
    groupIds: readonly string[],
    options: groups.DescribeGroupsOptions = {},
  ): Promise<Map<string, streamsGroups.StreamsGroupDescription>> {
    return streamsGroups.describeStreamsGroups(this.#context, groupIds, options)
  }

  /** Groups without members, with their offsets. */
  deleteStreamsGroups(groupIds: readonly string[], options: AdminCallOptions = {}): Promise<void> {
    return groups.deleteGroups(this.#context, 'deleteStreamsGroups', groupIds, options)
  }

  /** As `listConsumerGroupOffsets`. */
  listStreamsGroupOffsets(groupId: string, options?: groupOffsets.ListGroupOffsetsOptions): Promise<PartitionMap<OffsetAndMetadata>>
  listStreamsGroupOffsets(
    specs: groupOffsets.GroupOffsetsSpecs,
    options?: groupOffsets.ListOffsetsOfGroupsOptions,
  ): Promise<Map<string, PartitionMap<OffsetAndMetadata>>>
  listStreamsGroupOffsets(groups: string | groupOffsets.GroupOffsetsSpecs, options: groupOffsets.ListGroupOffsetsOptions = {}) {
    return groupOffsets.listGroupOffsets(this.#context, 'listStreamsGroupOffsets', groups, options)
  }

  /** The group must have no members. */
  alterStreamsGroupOffsets(
    groupId: string,
    offsets: readonly (TopicPartition & OffsetAndMetadata)[],
    options: AdminCallOptions = {},
  ): Promise<void> {
    return groupOffsets.alterGroupOffsets(this.#context, 'alterStreamsGroupOffsets', groupId, offsets, options)
  }

  /** Of topics that no member subscribes to. */
  deleteStreamsGroupOffsets(groupId: string, partitions: readonly TopicPartition[], options: AdminCallOptions = {}): Promise<void> {
    return groupOffsets.deleteGroupOffsets(this.#context, 'deleteStreamsGroupOffsets', groupId, partitions, options)
  }

  // --- transactions ------------------------------------------------------------------------------------------------------------------

  /** Transactional ids by the node id of the broker that coordinates them. */
  listTransactions(options: transactions.ListTransactionsOptions = {}): Promise<Map<number, transactions.TransactionListing[]>> {
    return transactions.listTransactions(this.#context, options)
  }

  /** By transactional id. */
  describeTransactions(
    transactionalIds: readonly string[],
    options: AdminCallOptions = {},
  ): Promise<Map<string, transactions.TransactionDescription>> {
    return transactions.describeTransactions(this.#context, transactionalIds, options)
  }

  /** Writes an abort marker into one partition, past the coordinator: for a transaction that hangs there because no coordinator knows it. */
  abortTransaction(spec: transactions.AbortTransactionSpec, options: AdminCallOptions = {}): Promise<void> {
    return transactions.abortTransaction(this.#context, spec, options)
  }

  /** Ends what the producers of these transactional ids have open, and keeps them from going on. @returns By transactional id, its producer id and epoch now. */
  fenceProducers(
    transactionalIds: readonly string[],
    options: AdminCallOptions = {},
  ): Promise<Map<string, { readonly producerId: number; readonly producerEpoch: number }>> {
    return transactions.fenceProducers(this.#context, transactionalIds, options)
  }

  /** As `fenceProducers`, for one. KIP-939. */
  async forceTerminateTransaction(transactionalId: string, options: AdminCallOptions = {}): Promise<void> {
    await transactions.fenceProducers(this.#context, [transactionalId], options)
  }

  // --- the client itself -------------------------------------------------------------------------------------------------------------

  /** What brokers call this client (KIP-714). @throws IllegalStateError unless `enableMetricsPush`; UnsupportedVersionError where they take no metrics */
  clientInstanceId(options: AdminCallOptions = {}): Promise<string> {
    return this.#telemetry.clientInstanceId(callOptions(this.#context, 'clientInstanceId', options))
  }

  /** Pushed to brokers that subscribe to it, besides what the client counts itself. KIP-1076. @throws InvalidOptionError */
  registerMetricForSubscription(metric: MetricForSubscription): void {
    this.#telemetry.register(metric)
  }

  /** Takes back what registerMetricForSubscription() has been given. */
  unregisterMetricFromSubscription(metric: Pick<MetricForSubscription, 'group' | 'name' | 'tags'>): void {
    this.#telemetry.unregister(metric)
  }

  /** Values now, by Kafka's names. */
  metrics(): Metric[] {
    return connectionMetrics(this.#context.cluster, 'admin-client', this.#context.config['client.id'])
  }

  // --- end ---------------------------------------------------------------------------------------------------------------------------

  /** Closes every connection, behind a last push of metrics where that is on; calls under way fail with a ClosedError. Idempotent. */
  async close(): Promise<void> {
    await this.#telemetry.close()
    this.#context.cluster.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
