import { eventually } from '../eventually.ts'
import { failure, kafkaOf, type Program } from './program.ts'

/** Every method of Admin: its answers, and how it refuses. */
export const administering: Program = async (library, bootstrap) => {
  const kafka = kafkaOf(library, bootstrap, { retry: { initialRetryTime: 10, retries: 1 } })
  const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ConfigResourceTypes, ResourcePatternTypes } = library
  const admin = kafka.admin()
  await admin.connect()
  const results: unknown[] = []
  const check = async (call: () => unknown) => results.push(await failure(call))

  // Topics.
  const configEntries = [{ name: 'retention.ms', value: '3600000' }]
  await check(() => admin.createTopics({ topics: [{ topic: 'a', numPartitions: 2, configEntries }] }))
  await check(() => admin.createTopics({ topics: [{ topic: 'a' }] }))
  await check(() => admin.createTopics({ topics: [{ topic: 'a' }, { topic: 'bad name' }] }))
  await check(() => admin.createTopics({ topics: [{ topic: 'b', replicaAssignment: [{ partition: 0, replicas: [1] }] }] }))
  await check(() => admin.createTopics({ topics: [{ topic: 'c' }], validateOnly: true, waitForLeaders: false }))
  await check(() => admin.createTopics({ topics: [{ topic: 'c', replicationFactor: 9 }] }))
  await check(() => admin.createTopics({ topics: [{ topic: 'x' }, { topic: 'x' }] }))
  await check(() => admin.createTopics({ topics: 7 as never }))
  await check(async () => (await admin.listTopics()).filter((topic) => !topic.startsWith('__')).sort())
  await check(async () => (await admin.createPartitions({ topicPartitions: [{ topic: 'a', count: 3 }] })) !== false)
  await check(() => admin.createPartitions({ topicPartitions: [{ topic: 'a', count: 1 }] }))
  await check(() => admin.fetchTopicMetadata({ topics: ['a'] }))
  await check(() => admin.fetchTopicMetadata({ topics: [''] }))
  await check(() => admin.deleteTopics({ topics: ['not-there'] }))
  await check(() => admin.deleteTopics({ topics: ['b'] }))

  // Offsets.
  const producer = kafka.producer()
  await producer.connect()
  const timestamp = 1_700_000_000_000
  await producer.send({
    topic: 'a',
    messages: Array.from({ length: 10 }, (_, i) => ({ value: `${i}`, partition: 1, timestamp: `${timestamp + i * 1000}` })),
  })
  await producer.disconnect()
  await check(() => admin.fetchTopicOffsets('a'))
  await check(() => admin.fetchTopicOffsets('not-there'))
  await check(() => admin.fetchTopicOffsetsByTimestamp('a', timestamp + 4500))
  await check(() => admin.fetchTopicOffsetsByTimestamp('a', timestamp + 999_000))
  await check(() => admin.deleteTopicRecords({ topic: 'a', partitions: [{ partition: 1, offset: '3' }] }))
  await check(() => admin.deleteTopicRecords({ topic: 'a', partitions: [{ partition: 1, offset: '99' }] }))
  await check(() => admin.deleteTopicRecords({ topic: 'a', partitions: [{ partition: 9, offset: '1' }] }))
  await check(() => admin.fetchTopicOffsets('a'))

  // Groups.
  const consumer = kafka.consumer({ groupId: 'members', maxWaitTimeInMs: 100 })
  await consumer.connect()
  await consumer.subscribe({ topic: 'a' })
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
  await check(() => admin.setOffsets({ groupId: 'members', topic: 'a', partitions: [{ partition: 1, offset: '4' }] }))
  await check(() => admin.deleteGroups(['members']))
  await consumer.commitOffsets([{ topic: 'a', partition: 1, offset: '4', metadata: 'm' }])
  await consumer.disconnect()
  await check(() => admin.fetchOffsets({ groupId: 'members', topics: ['a'] }))
  await check(() => admin.fetchOffsets({ groupId: 'members' }))
  await check(() => admin.fetchOffsets({ groupId: '' }))
  await check(async () => (await admin.listGroups()).groups.sort((a, b) => (a.groupId < b.groupId ? -1 : 1)))
  await check(() => admin.describeGroups(['nobody']))
  await check(() => admin.deleteGroups(['members']))
  await check(() => admin.deleteGroups('members' as never))

  // Configurations.
  const resource = { type: ConfigResourceTypes.TOPIC, name: 'a' }
  await check(() => admin.describeConfigs({ includeSynonyms: true, resources: [{ ...resource, configNames: ['retention.ms'] }] }))
  await check(() => admin.describeConfigs({ includeSynonyms: false, resources: [{ ...resource, name: 'not-there' }] }))
  await check(() => admin.describeConfigs({ includeSynonyms: false, resources: [] }))
  await check(() => admin.describeConfigs({ includeSynonyms: false, resources: [{ type: 99 as never, name: 'a' }] }))
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
  await check(() => admin.createAcls({ acl: [] }))
  await check(() => admin.createAcls({ acl: [{ ...acl, operation: 77 as never }] }))
  await check(() => admin.describeAcls({ ...acl, principal: 5 as never }))
  await check(() => admin.deleteAcls({ filters: [] }))
  await check(() => admin.alterPartitionReassignments({ topics: 5 as never }))
  await check(() =>
    admin.alterPartitionReassignments({ topics: [{ topic: 'a', partitionAssignment: [{ partition: -1, replicas: [1] }] }] }),
  )
  await check(() => admin.listPartitionReassignments({ topics: [{ topic: 'a', partitions: [-1] }] }))
  await check(() => (admin.on as (name: string, listener: () => void) => void)('admin.sneeze', () => {}))
  results.push(admin.events)
  await admin.disconnect()
  return results
}
