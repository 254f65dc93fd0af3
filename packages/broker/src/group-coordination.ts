import type { ConsumerGroupConfig } from '@tidelog/coordinator'
import type { Clock, Logger, Random } from '@tidelog/core'
import { CONSUMER_OFFSETS_TOPIC, type MetadataImage } from '@tidelog/metadata'
import { codecById } from '@tidelog/protocol'
import type { BrokerConfig } from './config/broker-config.ts'
import type { ConfigService } from './config/config-service.ts'
import { partitionLog } from './coordinators/coordinator-log.ts'
import { GroupCoordinatorService } from './coordinators/group-coordinator-service.ts'
import { ImageTopics } from './coordinators/image-topics.ts'
import type { ReplicaManager } from './replicas/replica-manager.ts'

const MINUTE_MS = 60_000

/** By the values of group.consumer.migration.policy, which may be written in either case. */
const migrationPolicies: Record<string, ConsumerGroupConfig['migrationPolicy']> = {
  DISABLED: 'disabled',
  UPGRADE: 'upgrade',
  DOWNGRADE: 'downgrade',
  BIDIRECTIONAL: 'bidirectional',
}

/** The group coordinators of a broker, told of the partitions of the offsets topic that it leads and of topics that go. */
export function startGroupCoordinators(options: {
  config: BrokerConfig
  configs: ConfigService
  image: MetadataImage
  replicas: ReplicaManager
  clock: Clock
  random: Random
  logger: Logger
}): GroupCoordinatorService {
  const { config, configs, image, replicas, clock, random, logger } = options
  const topics = new ImageTopics(image, clock)
  const groups = new GroupCoordinatorService({
    topics,
    config: {
      minSessionTimeoutMs: config['group.min.session.timeout.ms'],
      maxSessionTimeoutMs: config['group.max.session.timeout.ms'],
      maxSize: config['group.max.size'],
      initialRebalanceDelayMs: config['group.initial.rebalance.delay.ms'],
      offsetMetadataMaxBytes: config['offset.metadata.max.bytes'],
      offsetsRetentionMs: config['offsets.retention.minutes'] * MINUTE_MS,
      offsetsRetentionCheckIntervalMs: config['offsets.retention.check.interval.ms'],
      consumer: {
        maxSize: config['group.consumer.max.size'],
        assignors: config['group.consumer.assignors'],
        migrationPolicy: migrationPolicies[config['group.consumer.migration.policy'].toUpperCase()]!,
        settingsOf: (groupId) => configs.consumerGroupSettings(groupId),
      },
    },
    codec: codecById(config['offsets.topic.compression.codec']),
    loadBufferBytes: config['offsets.load.buffer.size'],
    partitionCount: () => image.topic(CONSUMER_OFFSETS_TOPIC)?.partitions.size ?? config['offsets.topic.num.partitions'],
    clock,
    random,
    logger,
  })
  replicas.addListener({
    onLeader: (partition) => {
      if (partition.topic !== CONSUMER_OFFSETS_TOPIC) return
      const log = partitionLog(partition, { commitTimeoutMs: config['offsets.commit.timeout.ms'] })
      groups.elected(partition.index, partition.leaderEpoch, log).catch((error) => {
        logger.error('the groups of a partition could not be loaded', { partition: partition.name, error })
      })
    },
    onResigned: (topic, index) => {
      if (topic === CONSUMER_OFFSETS_TOPIC) groups.resigned(index)
    },
  })
  image.onChange((change) => {
    const { changedTopics, deletedTopics } = change
    topics.changed(change)
    if (changedTopics.size + deletedTopics.size > 0) groups.topicsChanged(new Set([...changedTopics, ...deletedTopics]))
    if (deletedTopics.size > 0) groups.topicsDeleted(deletedTopics)
  })
  return groups
}
