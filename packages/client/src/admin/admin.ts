import { silentLogger, systemClock, systemRandom } from '@tidelog/core'
import { Cluster } from '../cluster/cluster.ts'
import type { FoundOffset, IsolationLevel, OffsetQuery } from '../cluster/list-offsets.ts'
import { type AdminConfigOptions, adminConfig } from '../config/admin-config.ts'
import { checkOptionNames } from '../config/option-names.ts'
import type { OffsetAndMetadata, PartitionMap, TopicPartition } from '../topic-partition.ts'
import type { AdminCallOptions, AdminContext, Environment } from './admin-client.ts'
import * as state from './cluster-state.ts'
import * as configs from './configs.ts'
import * as features from './features.ts'
import * as groups from './groups.ts'
import * as logDirs from './log-dirs.ts'
import * as topics from './topics.ts'
import * as transactions from './transactions.ts'

export interface AdminOptions extends AdminConfigOptions, Environment {}

type ValidateOnly = AdminCallOptions & { /** Check, and change nothing. */ readonly validateOnly?: boolean }

/**
 * Manages a cluster; one method per operation of Java's Admin. Every call is retried until its `timeoutMs` (`defaultApiTimeoutMs`).
 * A call about one thing throws its BrokerError; a call about several throws a PartialFailureError that tells which failed.
 */
export class Admin {
  readonly #context: AdminContext

  /** @throws InvalidOptionError that names the option. */
  constructor(options: AdminOptions) {
    checkOptionNames(adminConfig, options, [])
    const { clock = systemClock, random = systemRandom, logger = silentLogger, observer } = options
    const config = adminConfig.resolve(options)
    const cluster = new Cluster({ client: 'admin client', config, clock, random, logger, observer, allowAutoTopicCreation: false })
    this.#context = { cluster, config }
  }

  // --- topics ------------------------------------------------------------------------------------------------------------------------

  createTopics(newTopics: readonly topics.NewTopic[], options: ValidateOnly = {}): Promise<topics.CreatedTopic[]> {
    return topics.createTopics(this.#context, newTopics, options)
  }

  deleteTopics(names: readonly string[], options: AdminCallOptions = {}): Promise<void> {
    return topics.deleteTopics(this.#context, names, options)
  }

  /** In order of name. */
  listTopics(options: AdminCallOptions & { readonly includeInternal?: boolean } = {}): Promise<topics.TopicListing[]> {
    return topics.listTopics(this.#context, options)
  }

  /** By name. */
  describeTopics(names: readonly string[], options: AdminCallOptions = {}): Promise<Map<string, topics.TopicDescription>> {
    return topics.describeTopics(this.#context, names, options)
  }

  createPartitions(newPartitions: readonly topics.NewPartitions[], options: ValidateOnly = {}): Promise<void> {
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
  incrementalAlterConfigs(
    changes: readonly { readonly resource: configs.ConfigResource; readonly ops: readonly configs.AlterConfigOp[] }[],
    options: ValidateOnly = {},
  ): Promise<void> {
    return configs.incrementalAlterConfigs(this.#context, changes, options)
  }

  /** Replaces all dynamic configurations of each resource: what is not named goes back to its default. */
  alterConfigs(
    changes: readonly {
      readonly resource: configs.ConfigResource
      readonly configs: Readonly<Record<string, string>> | ReadonlyMap<string, string>
    }[],
    options: ValidateOnly = {},
  ): Promise<void> {
    return configs.alterConfigs(this.#context, changes, options)
  }

  /** Resources that have dynamic configurations; of all types when none is given. */
  listConfigResources(
    types: readonly configs.ConfigResourceType[] = [],
    options: AdminCallOptions = {},
  ): Promise<{ type: configs.ConfigResourceType | 'unknown'; name: string }[]> {
    return configs.listConfigResources(this.#context, types, options)
  }

  // --- cluster, offsets, records -----------------------------------------------------------------------------------------------------

  describeCluster(options: AdminCallOptions = {}): Promise<state.ClusterDescription> {
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

  electLeaders(
    type: 'preferred' | 'unclean',
    partitions: readonly TopicPartition[] | null,
    options: AdminCallOptions = {},
  ): ReturnType<typeof state.electLeaders> {
    return state.electLeaders(this.#context, type, partitions, options)
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

  describeFeatures(options: AdminCallOptions = {}): Promise<features.FeatureMetadata> {
    return features.describeFeatures(this.#context, options)
  }

  /** Changes the levels that the cluster runs, all that are asked for or none. */
  updateFeatures(updates: readonly features.FeatureUpdate[], options: ValidateOnly = {}): Promise<void> {
    return features.updateFeatures(this.#context, updates, options)
  }

  // --- groups ------------------------------------------------------------------------------------------------------------------------

  /** In order of id. */
  listGroups(options: groups.ListGroupsOptions = {}): Promise<groups.GroupListing[]> {
    return groups.listGroups(this.#context, options)
  }

  /** Groups of consumers of either protocol, by id. */
  describeConsumerGroups(
    groupIds: readonly string[],
    options: AdminCallOptions = {},
  ): Promise<Map<string, groups.ConsumerGroupDescription>> {
    return groups.describeConsumerGroups(this.#context, groupIds, options)
  }

  /** Classic groups of any protocol type, by id. */
  describeClassicGroups(groupIds: readonly string[], options: AdminCallOptions = {}): Promise<Map<string, groups.GroupDescription>> {
    return groups.describeClassicGroups(this.#context, groupIds, options)
  }

  /** Groups without members, with their offsets. */
  deleteConsumerGroups(groupIds: readonly string[], options: AdminCallOptions = {}): Promise<void> {
    return groups.deleteConsumerGroups(this.#context, groupIds, options)
  }

  /** Committed offsets; partitions without one are left out. */
  listConsumerGroupOffsets(groupId: string, options: groups.ListGroupOffsetsOptions = {}): Promise<PartitionMap<OffsetAndMetadata>> {
    return groups.listConsumerGroupOffsets(this.#context, groupId, options)
  }

  /** The group must have no members. */
  alterConsumerGroupOffsets(
    groupId: string,
    offsets: readonly (TopicPartition & OffsetAndMetadata)[],
    options: AdminCallOptions = {},
  ): Promise<void> {
    return groups.alterConsumerGroupOffsets(this.#context, groupId, offsets, options)
  }

  /** Of topics that no member subscribes to. */
  deleteConsumerGroupOffsets(groupId: string, partitions: readonly TopicPartition[], options: AdminCallOptions = {}): Promise<void> {
    return groups.deleteConsumerGroupOffsets(this.#context, groupId, partitions, options)
  }

  removeMembersFromConsumerGroup(
    groupId: string,
    members: readonly groups.MemberToRemove[],
    options: AdminCallOptions & { readonly reason?: string } = {},
  ): Promise<void> {
    return groups.removeMembersFromConsumerGroup(this.#context, groupId, members, options)
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

  // --- end ---------------------------------------------------------------------------------------------------------------------------

  /** Closes every connection; calls under way fail with a ClosedError. Idempotent. */
  async close(): Promise<void> {
    this.#context.cluster.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
