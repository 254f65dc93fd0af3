import type { Admin } from '@tidelog/client'

type Method = Exclude<keyof Admin, symbol>

interface Operation {
  /** Ours; absent where there is nothing to be done. */
  readonly ours?: Method
  /** What differs from Java, if anything. */
  readonly note?: string
}

/** Every method of Java's `Admin` (Apache Kafka 4.3), and ours. */
export const adminOperations: Readonly<Record<string, Operation>> = {
  abortTransaction: { ours: 'abortTransaction' },
  addRaftVoter: { ours: 'addRaftVoter' },
  alterClientQuotas: { ours: 'alterClientQuotas', note: 'an op of value `null` removes the quota' },
  alterConsumerGroupOffsets: { ours: 'alterConsumerGroupOffsets' },
  alterPartitionReassignments: { ours: 'alterPartitionReassignments', note: '`replicas: null` cancels' },
  alterReplicaLogDirs: { ours: 'alterReplicaLogDirs' },
  alterShareGroupOffsets: { ours: 'alterShareGroupOffsets' },
  alterStreamsGroupOffsets: { ours: 'alterStreamsGroupOffsets' },
  alterUserScramCredentials: { ours: 'alterUserScramCredentials' },
  clientInstanceId: { ours: 'clientInstanceId' },
  close: { ours: 'close', note: 'at once: calls under way fail with a ClosedError' },
  createAcls: { ours: 'createAcls' },
  createDelegationToken: { ours: 'createDelegationToken' },
  createPartitions: { ours: 'createPartitions' },
  createTopics: { ours: 'createTopics' },
  deleteAcls: { ours: 'deleteAcls' },
  deleteConsumerGroupOffsets: { ours: 'deleteConsumerGroupOffsets' },
  deleteConsumerGroups: { ours: 'deleteConsumerGroups' },
  deleteRecords: { ours: 'deleteRecords' },
  deleteShareGroupOffsets: { ours: 'deleteShareGroupOffsets' },
  deleteShareGroups: { ours: 'deleteShareGroups' },
  deleteStreamsGroupOffsets: { ours: 'deleteStreamsGroupOffsets' },
  deleteStreamsGroups: { ours: 'deleteStreamsGroups' },
  deleteTopics: { ours: 'deleteTopics', note: 'by name, or by id: `{ topicIds }`' },
  describeAcls: { ours: 'describeAcls' },
  describeClassicGroups: { ours: 'describeClassicGroups' },
  describeClientQuotas: { ours: 'describeClientQuotas' },
  describeCluster: { ours: 'describeCluster' },
  describeConfigs: { ours: 'describeConfigs' },
  describeConsumerGroups: { ours: 'describeConsumerGroups' },
  describeDelegationToken: { ours: 'describeDelegationToken' },
  describeFeatures: { ours: 'describeFeatures' },
  describeLogDirs: { ours: 'describeLogDirs' },
  describeMetadataQuorum: { ours: 'describeMetadataQuorum' },
  describeProducers: { ours: 'describeProducers' },
  describeReplicaLogDirs: { ours: 'describeReplicaLogDirs' },
  describeShareGroups: { ours: 'describeShareGroups' },
  describeStreamsGroups: { ours: 'describeStreamsGroups' },
  describeTopics: { ours: 'describeTopics', note: 'by name, or by id: `{ topicIds }`' },
  describeTransactions: { ours: 'describeTransactions' },
  describeUserScramCredentials: { ours: 'describeUserScramCredentials' },
  electLeaders: { ours: 'electLeaders' },
  expireDelegationToken: { ours: 'expireDelegationToken' },
  fenceProducers: { ours: 'fenceProducers' },
  forceTerminateTransaction: { ours: 'forceTerminateTransaction' },
  incrementalAlterConfigs: { ours: 'incrementalAlterConfigs' },
  listClientMetricsResources: { ours: 'listClientMetricsResources' },
  listConfigResources: { ours: 'listConfigResources' },
  listConsumerGroupOffsets: { ours: 'listConsumerGroupOffsets', note: 'of one group by its id, of several by a `Map`' },
  listConsumerGroups: { ours: 'listConsumerGroups' },
  listGroups: { ours: 'listGroups' },
  listOffsets: { ours: 'listOffsets' },
  listPartitionReassignments: { ours: 'listPartitionReassignments' },
  listShareGroupOffsets: { ours: 'listShareGroupOffsets' },
  listStreamsGroupOffsets: { ours: 'listStreamsGroupOffsets', note: 'of one group by its id, of several by a `Map`' },
  listTopics: { ours: 'listTopics' },
  listTransactions: { ours: 'listTransactions' },
  metrics: { ours: 'metrics' },
  registerMetricForSubscription: {
    ours: 'registerMetricForSubscription',
    note: 'takes name, group, tags and a function that gives the value',
  },
  removeMembersFromConsumerGroup: { ours: 'removeMembersFromConsumerGroup', note: "`'all'` removes every member" },
  removeRaftVoter: { ours: 'removeRaftVoter' },
  renewDelegationToken: { ours: 'renewDelegationToken' },
  unregisterBroker: { ours: 'unregisterBroker' },
  unregisterMetricFromSubscription: { ours: 'unregisterMetricFromSubscription' },
  updateFeatures: { ours: 'updateFeatures' },
}

/** What Java's `Admin` of 4.3 lacks. */
export const ourAdminOperations: Readonly<Partial<Record<Method, string>>> = {
  alterConfigs: 'replaces all configurations of a resource, as Java did before Kafka 4.0',
}
