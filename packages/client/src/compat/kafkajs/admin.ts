import { AdminAcls } from './admin-acls.ts'
import { AdminConfigs } from './admin-configs.ts'
import { AdminOffsets } from './admin-offsets.ts'
import { AdminReassignments } from './admin-reassignments.ts'
import { AdminTopics } from './admin-topics.ts'
import type { KafkaContext } from './client-options.ts'
import { KafkaJSDeleteGroupsError, KafkaJSNonRetriableError } from './errors.ts'
import { describeGroups } from './groups.ts'
import { Instrumentation, networkEvents } from './instrumentation.ts'
import { Link } from './link.ts'
import { failuresOf } from './partial-failures.ts'
import { resolveRetry } from './retry.ts'
import type { Admin, AdminConfig, AdminEventsByName } from './types-admin.ts'

export function createAdmin(context: KafkaContext, { retry }: AdminConfig): Admin {
  const logger = context.logger.namespace('Admin')
  const events = networkEvents('admin')
  const instrumentation = new Instrumentation<AdminEventsByName>(events, logger, context.clock)
  const link = new Link(context, resolveRetry(retry, context.config.retry), events, instrumentation)
  const topics = new AdminTopics(link, context.clock)
  const offsets = new AdminOffsets(link)
  const configs = new AdminConfigs(link)
  const acls = new AdminAcls(link)
  const reassignments = new AdminReassignments(link)
  return {
    async connect() {
      await link.connect()
      instrumentation.emit(events.CONNECT, null)
    },
    async disconnect() {
      await link.close()
      instrumentation.emit(events.DISCONNECT, null)
    },
    logger: () => logger,
    on: instrumentation.on,
    events,
    listTopics: () => topics.list(),
    createTopics: (options) => topics.create(options),
    deleteTopics: (options) => topics.delete(options),
    createPartitions: (options) => topics.createPartitions(options),
    fetchTopicMetadata: (options) => topics.fetchMetadata(options),
    deleteTopicRecords: (options) => topics.deleteRecords(options),
    fetchOffsets: (options) => offsets.fetch(options),
    setOffsets: (options) => offsets.set(options),
    resetOffsets: (options) => offsets.reset(options),
    fetchTopicOffsets: (topic) => offsets.ofTopic(topic),
    fetchTopicOffsetsByTimestamp: (topic, timestamp) => offsets.ofTopicByTimestamp(topic, timestamp),
    describeConfigs: (options) => configs.describe(options),
    alterConfigs: (options) => configs.alter(options),
    describeCluster: () =>
      link.try(async () => {
        const { brokers, controllerId, clusterId } = await link.admin.describeCluster()
        return {
          brokers: brokers.map(({ nodeId, host, port }) => ({ nodeId, host, port })),
          controller: controllerId < 0 ? null : controllerId,
          clusterId: clusterId ?? '',
        }
      }),
    listGroups: () =>
      link.try(async () => {
        const groups = await link.admin.listGroups()
        return { groups: groups.map(({ groupId, protocolType }) => ({ groupId, protocolType })) }
      }),
    describeGroups: (groupIds) => link.try(async () => ({ groups: await describeGroups(link.admin, groupIds) })),
    async deleteGroups(groupIds) {
      if (!Array.isArray(groupIds) || groupIds.some((groupId) => typeof groupId !== 'string'))
        throw new KafkaJSNonRetriableError(`groupIds must be an array of texts, and not ${groupIds}`)
      await link.open()
      try {
        await link.admin.deleteConsumerGroups(groupIds)
      } catch (error) {
        const failures = [...failuresOf(error, groupIds[0])].map(([groupId, failure]) => ({
          groupId,
          errorCode: failure.code,
          error: failure,
        }))
        throw new KafkaJSDeleteGroupsError('groups could not be deleted', failures)
      }
      return groupIds.map((groupId) => ({ groupId, errorCode: 0 }))
    },
    describeAcls: (filter) => acls.describe(filter),
    deleteAcls: (options) => acls.delete(options),
    createAcls: (options) => acls.create(options),
    alterPartitionReassignments: (options) => reassignments.alter(options),
    listPartitionReassignments: (options) => reassignments.list(options),
  }
}
