/**
 * Names of types as programs use them: this file is compiled with the tests against kafkajs's declarations, and once more against ours
 * (kafkajs-exports.test.ts). It is never run.
 */
import {
  type Acl,
  type AclEntry,
  type AclFilter,
  AclOperationTypes,
  AclPermissionTypes,
  type AclResource,
  AclResourceTypes,
  type Admin,
  type AdminConfig,
  type AdminEvents,
  type ApiVersions,
  type Assigner,
  AssignerProtocol,
  type Assignment,
  type AuthenticationProviderArgs,
  type Authenticator,
  type Batch,
  type Broker,
  type BrokerMetadata,
  type BrokersFunction,
  type Cluster,
  CompressionCodecs,
  CompressionTypes,
  type ConfigEntries,
  ConfigResourceTypes,
  ConfigSource,
  type ConfigSynonyms,
  type ConnectEvent,
  type Consumer,
  type ConsumerCommitOffsetsEvent,
  type ConsumerConfig,
  type ConsumerCrashEvent,
  type ConsumerEachBatchPayload,
  type ConsumerEachMessagePayload,
  type ConsumerEndBatchProcessEvent,
  type ConsumerEvents,
  type ConsumerFetchEvent,
  type ConsumerFetchStartEvent,
  type ConsumerGroup,
  type ConsumerGroupJoinEvent,
  type ConsumerGroupState,
  type ConsumerHeartbeatEvent,
  type ConsumerRebalancingEvent,
  type ConsumerReceivedUnsubcribedTopicsEvent,
  type ConsumerRunConfig,
  type ConsumerStartBatchProcessEvent,
  type ConsumerSubscribeTopic,
  type ConsumerSubscribeTopics,
  type CoordinatorMetadata,
  type DefaultPartitioner,
  type DeleteAclFilterResponses,
  type DeleteAclResponse,
  type DeleteGroupsResult,
  type DescribeAclResource,
  type DescribeAclResponse,
  type DescribeConfigResponse,
  type DisconnectEvent,
  type EachBatchHandler,
  type EachBatchPayload,
  type EachMessageHandler,
  type EachMessagePayload,
  type FetchOffsetsPartition,
  type GroupDescription,
  type GroupDescriptions,
  type GroupMember,
  type GroupMemberAssignment,
  type GroupOverview,
  type GroupState,
  type ICustomPartitioner,
  type IHeaders,
  type IMemberAssignment,
  type InstrumentationEvent,
  type IResourceConfig,
  type IResourceConfigEntry,
  type ISerializer,
  type ISocketFactory,
  type ISocketFactoryArgs,
  type ITopicConfig,
  type ITopicMetadata,
  type ITopicPartitionConfig,
  Kafka,
  type KafkaConfig,
  type KafkaJSAggregateError,
  type KafkaJSAlterPartitionReassignmentsError,
  type KafkaJSBrokerNotFound,
  KafkaJSConnectionError,
  type KafkaJSConnectionErrorMetadata,
  type KafkaJSDeleteGroupsError,
  type KafkaJSDeleteGroupsErrorGroups,
  type KafkaJSDeleteTopicRecordsError,
  type KafkaJSDeleteTopicRecordsErrorPartition,
  type KafkaJSDeleteTopicRecordsErrorTopic,
  type KafkaJSError,
  type KafkaJSErrorMetadata,
  type KafkaJSGroupCoordinatorNotFound,
  type KafkaJSLockTimeout,
  type KafkaJSMetadataNotLoaded,
  type KafkaJSNonRetriableError,
  type KafkaJSNotImplemented,
  KafkaJSNumberOfRetriesExceeded,
  type KafkaJSNumberOfRetriesExceededMetadata,
  KafkaJSOffsetOutOfRange,
  type KafkaJSOffsetOutOfRangeMetadata,
  type KafkaJSPartialMessageError,
  KafkaJSProtocolError,
  type KafkaJSRequestTimeoutError,
  type KafkaJSRequestTimeoutErrorMetadata,
  type KafkaJSSASLAuthenticationError,
  type KafkaJSServerDoesNotSupportApiKey,
  type KafkaJSServerDoesNotSupportApiKeyMetadata,
  type KafkaJSStaleTopicMetadataAssignment,
  type KafkaJSStaleTopicMetadataAssignmentMetadata,
  type KafkaJSTimeout,
  type KafkaJSTopicMetadataNotLoaded,
  type KafkaJSTopicMetadataNotLoadedMetadata,
  type KafkaJSUnsupportedMagicByteInMessageSet,
  type KafkaMessage,
  type LegacyPartitioner,
  type ListPartitionReassignmentsResponse,
  type LogEntry,
  type Logger,
  type LoggerEntryContent,
  type logCreator,
  logLevel,
  type MatchingAcl,
  type Mechanism,
  type MemberAssignment,
  type MemberDescription,
  type MemberMetadata,
  type Message,
  type OauthbearerProviderResponse,
  type Offsets,
  type OffsetsByTopicPartition,
  type OngoingPartitionReassignment,
  type OngoingTopicReassignment,
  type PartitionAssigner,
  PartitionAssigners,
  type PartitionerArgs,
  Partitioners,
  type PartitionMetadata,
  type PartitionOffset,
  type PartitionReassignment,
  type Producer,
  type ProducerBatch,
  type ProducerConfig,
  type ProducerEvents,
  type ProducerRecord,
  type RecordMetadata,
  type RemoveInstrumentationEventListener,
  type ReplicaAssignment,
  type RequestEvent,
  type RequestQueueSizeEvent,
  type RequestTimeoutEvent,
  type ResourceConfigQuery,
  ResourcePatternTypes,
  type RetryOptions,
  type SASLMechanism,
  type SASLOptions,
  type SaslAuthenticateArgs,
  type SeekEntry,
  type TopicMessages,
  type TopicOffsets,
  type TopicPartition,
  type TopicPartitionOffset,
  type TopicPartitionOffsetAndMetadata,
  type TopicPartitions,
  type Transaction,
} from 'kafkajs'

/** Every type that kafkajs exports. */
export type All = [
  Acl,
  AclEntry,
  AclFilter,
  AclOperationTypes,
  AclPermissionTypes,
  AclResource,
  AclResourceTypes,
  Admin,
  AdminConfig,
  AdminEvents,
  ApiVersions,
  Assigner,
  Assignment,
  AuthenticationProviderArgs,
  Authenticator,
  Batch,
  Broker,
  BrokerMetadata,
  BrokersFunction,
  Cluster,
  CompressionTypes,
  ConfigEntries,
  ConfigResourceTypes,
  ConfigSource,
  ConfigSynonyms,
  ConnectEvent,
  Consumer,
  ConsumerCommitOffsetsEvent,
  ConsumerConfig,
  ConsumerCrashEvent,
  ConsumerEachBatchPayload,
  ConsumerEachMessagePayload,
  ConsumerEndBatchProcessEvent,
  ConsumerEvents,
  ConsumerFetchEvent,
  ConsumerFetchStartEvent,
  ConsumerGroup,
  ConsumerGroupJoinEvent,
  ConsumerGroupState,
  ConsumerHeartbeatEvent,
  ConsumerRebalancingEvent,
  ConsumerReceivedUnsubcribedTopicsEvent,
  ConsumerRunConfig,
  ConsumerStartBatchProcessEvent,
  ConsumerSubscribeTopic,
  ConsumerSubscribeTopics,
  CoordinatorMetadata,
  DefaultPartitioner,
  DeleteAclFilterResponses,
  DeleteAclResponse,
  DeleteGroupsResult,
  DescribeAclResource,
  DescribeAclResponse,
  DescribeConfigResponse,
  DisconnectEvent,
  EachBatchHandler,
  EachBatchPayload,
  EachMessageHandler,
  EachMessagePayload,
  FetchOffsetsPartition,
  GroupDescription,
  GroupDescriptions,
  GroupMember,
  GroupMemberAssignment,
  GroupOverview,
  GroupState,
  ICustomPartitioner,
  IHeaders,
  IMemberAssignment,
  InstrumentationEvent<null>,
  IResourceConfig,
  IResourceConfigEntry,
  ISerializer<string>,
  ISocketFactory,
  ISocketFactoryArgs,
  ITopicConfig,
  ITopicMetadata,
  ITopicPartitionConfig,
  Kafka,
  KafkaConfig,
  KafkaJSAggregateError,
  KafkaJSAlterPartitionReassignmentsError,
  KafkaJSBrokerNotFound,
  KafkaJSConnectionError,
  KafkaJSConnectionErrorMetadata,
  KafkaJSDeleteGroupsError,
  KafkaJSDeleteGroupsErrorGroups,
  KafkaJSDeleteTopicRecordsError,
  KafkaJSDeleteTopicRecordsErrorPartition,
  KafkaJSDeleteTopicRecordsErrorTopic,
  KafkaJSError,
  KafkaJSErrorMetadata,
  KafkaJSGroupCoordinatorNotFound,
  KafkaJSLockTimeout,
  KafkaJSMetadataNotLoaded,
  KafkaJSNonRetriableError,
  KafkaJSNotImplemented,
  KafkaJSNumberOfRetriesExceeded,
  KafkaJSNumberOfRetriesExceededMetadata,
  KafkaJSOffsetOutOfRange,
  KafkaJSOffsetOutOfRangeMetadata,
  KafkaJSPartialMessageError,
  KafkaJSProtocolError,
  KafkaJSRequestTimeoutError,
  KafkaJSRequestTimeoutErrorMetadata,
  KafkaJSSASLAuthenticationError,
  KafkaJSServerDoesNotSupportApiKey,
  KafkaJSServerDoesNotSupportApiKeyMetadata,
  KafkaJSStaleTopicMetadataAssignment,
  KafkaJSStaleTopicMetadataAssignmentMetadata,
  KafkaJSTimeout,
  KafkaJSTopicMetadataNotLoaded,
  KafkaJSTopicMetadataNotLoadedMetadata,
  KafkaJSUnsupportedMagicByteInMessageSet,
  KafkaMessage,
  LegacyPartitioner,
  ListPartitionReassignmentsResponse,
  logCreator,
  LogEntry,
  Logger,
  LoggerEntryContent,
  logLevel,
  MatchingAcl,
  Mechanism,
  MemberAssignment,
  MemberDescription,
  MemberMetadata,
  Message,
  OauthbearerProviderResponse,
  Offsets,
  OffsetsByTopicPartition,
  OngoingPartitionReassignment,
  OngoingTopicReassignment,
  PartitionAssigner,
  PartitionerArgs,
  PartitionMetadata,
  PartitionOffset,
  PartitionReassignment,
  Producer,
  ProducerBatch,
  ProducerConfig,
  ProducerEvents,
  ProducerRecord,
  RecordMetadata,
  RemoveInstrumentationEventListener<'x'>,
  ReplicaAssignment,
  RequestEvent,
  RequestQueueSizeEvent,
  RequestTimeoutEvent,
  ResourceConfigQuery,
  ResourcePatternTypes,
  RetryOptions,
  SaslAuthenticateArgs<string>,
  SASLMechanism,
  SASLOptions,
  SeekEntry,
  TopicMessages,
  TopicOffsets,
  TopicPartition,
  TopicPartitionOffset,
  TopicPartitionOffsetAndMetadata,
  TopicPartitions,
  Transaction,
]

/** A logger that goes elsewhere. */
const winston: logCreator = (level: logLevel) => {
  const isVerbose: boolean = level >= logLevel.INFO
  return ({ namespace, level: entryLevel, label, log }: LogEntry) => {
    const { message, timestamp, ...extra } = log
    if (isVerbose) console.log(namespace, entryLevel satisfies logLevel, label.toUpperCase(), timestamp, message, extra.anything)
  }
}

/** Clients in classes, with what they are made of. */
export class Shop {
  readonly #producer: Producer
  readonly #consumer: Consumer
  readonly #admin: Admin
  readonly #logger: Logger

  constructor(brokers: string[] | (() => Promise<string[]>), ssl: KafkaConfig['ssl'] = true) {
    const sasl: SASLOptions = { mechanism: 'scram-sha-256', username: 'me', password: 'secret' }
    const config: KafkaConfig = {
      clientId: 'shop',
      brokers,
      ssl,
      sasl,
      logLevel: logLevel.DEBUG,
      logCreator: winston,
      connectionTimeout: 3000,
    }
    const kafka = new Kafka(config)
    const createPartitioner: ICustomPartitioner =
      () =>
      ({ message, partitionMetadata }: PartitionerArgs) => {
        const [first] = partitionMetadata
        return message.partition ?? first?.partitionId ?? 0
      }
    this.#producer = kafka.producer({ createPartitioner, idempotent: true, maxInFlightRequests: 1, transactionalId: 'shop' })
    this.#consumer = kafka.consumer({
      groupId: 'shop',
      partitionAssigners: [PartitionAssigners.roundRobin],
      retry: { restartOnFailure: async () => true },
    })
    this.#admin = kafka.admin({ retry: { retries: 3 } })
    this.#logger = kafka.logger().namespace('Shop', logLevel.ERROR)
  }

  async start(handle: (message: KafkaMessage) => Promise<void>): Promise<void> {
    const { CONNECT, CRASH, GROUP_JOIN, REQUEST } = this.#consumer.events
    const remove: RemoveInstrumentationEventListener<typeof CONNECT> = this.#consumer.on(
      CONNECT,
      (event: ConnectEvent) => void event.payload,
    )
    this.#consumer.on(CRASH, async ({ payload: { error, restart } }) => this.#logger.error(error.message, { restart }))
    this.#consumer.on(
      GROUP_JOIN,
      (event: ConsumerGroupJoinEvent) => void event.payload.memberAssignment.topic?.map((partition) => partition + 1),
    )
    this.#consumer.on(REQUEST, ({ payload }: RequestEvent) => this.#logger.debug(payload.apiName, { took: payload.duration }))
    for (const name of Object.values(this.#consumer.events))
      this.#consumer.on(name, (event: InstrumentationEvent<unknown>) => void event.type)
    await this.#consumer.connect()
    await this.#consumer.subscribe({ topics: ['orders', /^returns-.*/], fromBeginning: true })
    const eachMessage: EachMessageHandler = async ({ topic, partition, message, heartbeat, pause }) => {
      const header: Buffer | string | (Buffer | string)[] | undefined = message.headers?.kind
      if (message.value === null) return
      try {
        await handle(message)
        await heartbeat()
      } catch {
        const resume: () => void = pause()
        setTimeout(resume, 1000)
        this.#logger.warn(`${topic}-${partition}: ${String(header)}`)
      }
    }
    await this.#consumer.run({ autoCommit: false, partitionsConsumedConcurrently: 3, eachMessage })
    remove()
  }

  async sell(orders: { id: string; total: number }[]): Promise<RecordMetadata[]> {
    const messages: Message[] = orders.map(({ id, ...order }) => ({
      key: id,
      value: JSON.stringify(order),
      headers: { kind: ['order', Buffer.from('x')] },
    }))
    const record: ProducerRecord = { topic: 'orders', messages, acks: -1, compression: CompressionTypes.GZIP }
    const transaction: Transaction = await this.#producer.transaction()
    try {
      const sent = await transaction.send(record)
      await transaction.sendOffsets({ consumerGroupId: 'shop', topics: [{ topic: 'orders', partitions: [{ partition: 0, offset: '1' }] }] })
      await transaction.commit()
      return sent
    } catch (error) {
      await transaction.abort()
      if (error instanceof KafkaJSNumberOfRetriesExceeded)
        this.#logger.error(error.message, { count: error.retryCount, of: error.cause?.message })
      if (error instanceof KafkaJSProtocolError && error.type === 'INVALID_PRODUCER_EPOCH') return []
      throw error
    }
  }

  async look(): Promise<string[]> {
    const { groups } = await this.#admin.describeGroups(['shop'])
    const configs: DescribeConfigResponse = await this.#admin.describeConfigs({
      includeSynonyms: true,
      resources: [{ type: ConfigResourceTypes.TOPIC, name: 'orders', configNames: ['retention.ms'] }],
    })
    const acl: AclEntry = {
      resourceType: AclResourceTypes.TOPIC,
      resourceName: 'orders',
      resourcePatternType: ResourcePatternTypes.LITERAL,
      principal: 'User:bob',
      host: '*',
      operation: AclOperationTypes.READ,
      permissionType: AclPermissionTypes.ALLOW,
    }
    const isCreated: boolean = await this.#admin.createAcls({ acl: [acl] })
    const offsets: (SeekEntry & { high: string; low: string })[] = await this.#admin.fetchTopicOffsets('orders')
    const source: ConfigSource | undefined = configs.resources[0]?.configEntries[0]?.configSource
    const members = groups.flatMap(({ members: all }) =>
      all.map(({ memberAssignment }) => AssignerProtocol.MemberAssignment.decode(memberAssignment)),
    )
    return [
      String(isCreated),
      ...offsets.map(({ low }) => low),
      String(source === ConfigSource.TOPIC_CONFIG),
      ...members.map((one) => String(one?.version)),
    ]
  }
}

CompressionCodecs[CompressionTypes.Snappy] = () => ({ compress: async () => Buffer.alloc(0), decompress: async (bytes: Buffer) => bytes })
/** Numbers from elsewhere, names of numbers, and events by whatever name. */
export function fromOutside(consumer: Consumer, given: Record<string, string>): ProducerRecord & { level: logLevel } {
  const level: logLevel = Number(given.LEVEL)
  const compression = given.COMPRESSION as unknown as number
  for (const name of Object.values(consumer.events)) consumer.on(name, ({ payload }) => payload?.anything.at.all)
  return { topic: logLevel[level]!, messages: [], compression, level }
}

/** Answers of a broker whose fields kafkajs does not declare. */
export async function look(cluster: Cluster): Promise<string[]> {
  const broker: Broker = await cluster.findGroupCoordinator({ groupId: 'shop' })
  const { groups } = await broker.describeGroups({ groupIds: ['shop'] })
  const fetched = await broker.fetch({ topics: [{ topic: 'orders', partitions: [{ partition: 0, fetchOffset: '0', maxBytes: 1000 }] }] })
  return [...groups.map(({ state }: { state: string }) => state), fetched.responses[0].partitions[0].highWatermark]
}

export const partitioners: ICustomPartitioner[] = [Partitioners.DefaultPartitioner, Partitioners.LegacyPartitioner]
export const failures: Error[] = [
  new KafkaJSOffsetOutOfRange('gone', { topic: 't', partition: 1 }),
  new KafkaJSConnectionError('no', { broker: 'b:1' }),
]
