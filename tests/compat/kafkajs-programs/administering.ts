import type { ResourcePatternTypes } from 'kafkajs'
import { eventually } from '../eventually.ts'
import { failure, kafkaOf, ledTopics, type Program } from './program.ts'

/** Every method of Admin: its answers, and how it refuses. */
export const administering: Program = async (library, bootstrap) => {
  const kafka = kafkaOf(library, bootstrap, { retry: { initialRetryTime: 10, retries: 1 } })
  const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ConfigResourceTypes, ResourcePatternTypes } = library
  const admin = kafka.admin()
  await admin.connect()
  const results: unknown[] = []
  const check = async (call: () => unknown) => results.push(await failure(call))

  // Topics.
  // Messages are of long ago, and not to be deleted for that.
  const configEntries = [{ name: 'retention.ms', value: '-1' }]
  await check(() => admin.createTopics({ topics: [{ topic: 'managed', numPartitions: 2, configEntries }] }))
  await check(() => admin.createTopics({ topics: [{ topic: 'managed' }] }))
  await check(() => admin.createTopics({ topics: [{ topic: 'managed' }, { topic: 'bad name' }] }))
  await check(() => admin.createTopics({ topics: [{ topic: 'managed-b', replicaAssignment: [{ partition: 0, replicas: [1] }] }] }))
  await check(() => admin.createTopics({ topics: [{ topic: 'managed-c' }], validateOnly: true, waitForLeaders: false }))
  await check(() => admin.createTopics({ topics: [{ topic: 'managed-c', replicationFactor: 9 }] }))
  await check(() => admin.createTopics({ topics: [{ topic: 'x' }, { topic: 'x' }] }))
  await check(() => admin.createTopics({ topics: 7 as never }))
  await check(async () => (await admin.listTopics()).filter((topic) => topic.startsWith('managed')).sort())
  await check(async () => (await admin.createPartitions({ topicPartitions: [{ topic: 'managed', count: 3 }] })) !== false)
  await check(() => admin.createPartitions({ topicPartitions: [{ topic: 'managed', count: 1 }] }))
  await check(() => admin.fetchTopicMetadata({ topics: ['managed'] }))
  await check(() => admin.fetchTopicMetadata({ topics: [''] }))
  await check(() => admin.deleteTopics({ topics: ['not-there'] }))
  await check(() => admin.deleteTopics({ topics: ['managed-b'] }))

  // Offsets.
  await ledTopics(admin, ['managed'])
  const producer = kafka.producer({ retry: { retries: 8 } })
  await producer.connect()
  const timestamp = 1_700_000_000_000
  await producer.send({
    topic: 'managed',
    messages: Array.from({ length: 10 }, (_, i) => ({ value: `${i}`, partition: 1, timestamp: `${timestamp + i * 1000}` })),
  })
  await producer.disconnect()
  await check(() => admin.fetchTopicOffsets('managed'))
  await check(() => admin.fetchTopicOffsets('not-there'))
  await check(() => admin.fetchTopicOffsetsByTimestamp('managed', timestamp + 4500))
  await check(() => admin.fetchTopicOffsetsByTimestamp('managed', timestamp + 999_000))
  await check(() => admin.deleteTopicRecords({ topic: 'managed', partitions: [{ partition: 1, offset: '3' }] }))
  await check(() => admin.deleteTopicRecords({ topic: 'managed', partitions: [{ partition: 1, offset: '99' }] }))
  await check(() => admin.deleteTopicRecords({ topic: 'managed', partitions: [{ partition: 9, offset: '1' }] }))
  await check(() => admin.fetchTopicOffsets('managed'))

  // Groups.
  const consumer = kafka.consumer({ groupId: 'members', maxWaitTimeInMs: 100 })
  await consumer.connect()
  await consumer.subscribe({ topic: 'managed' })
  await consumer.run({ eachMessage: async () => {} })
  await check(async () => {
    const { members, ...group } = (await admin.describeGroups(['members'])).groups[0]!
    const { memberId, memberMetadata, memberAssignment, ...member } = members[0]!
    const { MemberMetadata, MemberAssignment } = library.AssignerProtocol
    const { topics } = MemberMetadata.decode(memberMetadata)!
    return {
      group,
      member,
      topics,
      assignment: MemberAssignment.decode(memberAssignment)?.assignment,
      hasId: memberId.startsWith('program-'),
    }
  })
  await check(() => admin.setOffsets({ groupId: 'members', topic: 'managed', partitions: [{ partition: 1, offset: '4' }] }))
  await check(() => admin.deleteGroups(['members']))
  await consumer.commitOffsets([{ topic: 'managed', partition: 1, offset: '4', metadata: 'm' }])
  await consumer.disconnect()
  await check(() => admin.fetchOffsets({ groupId: 'members', topics: ['managed'] }))
  await check(() => admin.fetchOffsets({ groupId: 'members' }))
  await check(() => admin.fetchOffsets({ groupId: '' }))
  await check(async () => (await admin.listGroups()).groups.filter(({ groupId }) => groupId === 'members'))
  await check(() => admin.describeGroups(['nobody']))
  await check(() => admin.deleteGroups(['members']))
  await check(() => admin.deleteGroups('members' as never))

  // Configurations.
  const resource = { type: ConfigResourceTypes.TOPIC, name: 'managed' }
  await check(() => admin.describeConfigs({ includeSynonyms: true, resources: [{ ...resource, configNames: ['retention.ms'] }] }))
  await check(() => admin.describeConfigs({ includeSynonyms: false, resources: [{ ...resource, name: 'not-there' }] }))
  await check(() => admin.describeConfigs({ includeSynonyms: false, resources: [] }))
  await check(() => admin.describeConfigs({ includeSynonyms: false, resources: [{ type: 99 as never, name: 'managed' }] }))
  const altered = { ...resource, configEntries: [{ name: 'max.message.bytes', value: '2000000' }] }
  await check(() => admin.alterConfigs({ validateOnly: false, resources: [altered] }))
  await check(() =>
    admin.alterConfigs({ validateOnly: false, resources: [{ ...altered, configEntries: [{ name: 'no.such', value: '1' }] }] }),
  )
  await check(() => admin.alterConfigs({ validateOnly: false, resources: [{ ...altered, configEntries: [{ name: 'x' } as never] }] }))
  await eventually('the change shows', async () => {
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ ...resource, configNames: ['max.message.bytes'] }],
    })
    return resources[0]?.configEntries[0]?.configValue === '2000000'
  })
  await check(async () => {
    const { brokers, controller, clusterId } = await admin.describeCluster()
    return [brokers.length, Object.keys(brokers[0]!).sort(), controller, typeof clusterId]
  })

  // What a broker without authorizer says to ACLs, and reassignments.
  const acl = {
    resourceType: AclResourceTypes.TOPIC,
    resourceName: 'a',
    resourcePatternType: ResourcePatternTypes.LITERAL,
    principal: 'User:bob',
    host: '*',
    operation: AclOperationTypes.READ,
    permissionType: AclPermissionTypes.ALLOW,
  }
  await check(() => admin.describeAcls(acl))
  await check(() => admin.createAcls({ acl: [acl] }))
  await check(() => admin.createAcls({ acl: [] }))
  await check(() => admin.createAcls({ acl: [{ ...acl, operation: 77 as never }] }))
  await check(() => admin.describeAcls({ ...acl, principal: 5 as never }))
  await check(() => admin.deleteAcls({ filters: [] }))
  await check(() => admin.alterPartitionReassignments({ topics: 5 as never }))
  await check(() =>
    admin.alterPartitionReassignments({ topics: [{ topic: 'managed', partitionAssignment: [{ partition: -1, replicas: [1] }] }] }),
  )
  await check(() => admin.listPartitionReassignments({ topics: [{ topic: 'managed', partitions: [-1] }] }))
  await check(() => (admin.on as (name: string, listener: () => void) => void)('admin.sneeze', () => {}))
  results.push(admin.events)
  await admin.disconnect()
  return results
}

/** ACLs and reassignments, of a broker that has them. */
export const authorizing: Program = async (library, bootstrap) => {
  const kafka = kafkaOf(library, bootstrap)
  const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } = library
  const admin = kafka.admin()
  await admin.connect()
  const results: unknown[] = []
  const aclOf = (resourceName: string, resourcePatternType: ResourcePatternTypes) => ({
    resourceType: AclResourceTypes.TOPIC,
    resourceName,
    resourcePatternType,
    principal: 'User:bob',
    host: '*',
    operation: AclOperationTypes.READ,
    permissionType: AclPermissionTypes.ALLOW,
  })
  const filter = { ...aclOf('guarded', ResourcePatternTypes.MATCH), operation: AclOperationTypes.ANY }
  const acls = [aclOf('guarded', ResourcePatternTypes.LITERAL), aclOf('guard', ResourcePatternTypes.PREFIXED)]
  results.push(await failure(() => admin.createAcls({ acl: acls })))
  const sorted = async () => (await admin.describeAcls(filter)).resources.sort((a, b) => (a.resourceName < b.resourceName ? -1 : 1))
  await eventually('both are there', async () => (await sorted()).length === 2)
  results.push(await sorted())
  const { filterResponses } = await admin.deleteAcls({ filters: [{ ...filter, resourcePatternType: ResourcePatternTypes.LITERAL }] })
  results.push(filterResponses)
  await eventually('one is left', async () => (await sorted()).length === 1)
  results.push(await sorted())
  await admin.createTopics({ topics: [{ topic: 'moved' }] })
  const assignment = (replicas: number[], partition = 0) => ({
    topics: [{ topic: 'moved', partitionAssignment: [{ partition, replicas }] }],
  })
  results.push(await failure(() => admin.alterPartitionReassignments(assignment([1]))))
  results.push(await failure(() => admin.alterPartitionReassignments(assignment([99]))))
  results.push(await failure(() => admin.alterPartitionReassignments(assignment([1], 7))))
  results.push(await failure(() => admin.listPartitionReassignments({ topics: [{ topic: 'moved', partitions: [0] }] })))
  await admin.disconnect()
  return results
}
