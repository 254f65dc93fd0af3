import type { Broker, Cluster, PartitionAssigner } from 'kafkajs'
import type { Library } from '../kafkajs-libraries.ts'
import { failure, kafkaOf, ledTopics, type Program, signal } from './program.ts'

/** What kafkajs's Broker has besides what its types declare. */
type WholeBroker = Broker & Record<string, (given?: unknown) => Promise<unknown>>

const GROUP = 'brokering'

/** The cluster and brokers that an assigner is given: every request, as it is answered and refused. */
export const brokering: Program = async (library, bootstrap) => {
  const kafka = kafkaOf(library, bootstrap)
  const admin = kafka.admin()
  await admin.connect()
  // Messages are of long ago, and not to be deleted for that.
  const configEntries = [{ name: 'retention.ms', value: '-1' }]
  await admin.createTopics({ topics: [{ topic: 'led', numPartitions: 3, configEntries }] })
  await ledTopics(admin, ['led'])
  const producer = kafka.producer()
  await producer.connect()
  await producer.send({ topic: 'led', messages: [{ value: 'first', partition: 2, timestamp: '1700000000000' }] })
  const results: unknown[] = []
  const done = signal()
  let isConnectedAtFirst: boolean | undefined
  const asking: PartitionAssigner = (config) => {
    const assigner = library.PartitionAssigners.roundRobin(config)
    isConnectedAtFirst = config.cluster.isConnected()
    return {
      ...assigner,
      async assign(group) {
        results.push(isConnectedAtFirst, ...(await askCluster(config.cluster)))
        const broker = (await config.cluster.findGroupCoordinator({ groupId: GROUP })) as WholeBroker
        results.push(...(await askBroker(library, broker)), ...(await askAboutGroups(library, broker)))
        results.push(...(await askAboutTransactions(config.cluster, broker)))
        done.give()
        return assigner.assign(group)
      },
    }
  }
  const consumer = kafka.consumer({ groupId: 'asking', partitionAssigners: [asking], rebalanceTimeout: 60_000, maxWaitTimeInMs: 100 })
  await consumer.connect()
  await consumer.subscribe({ topics: ['led'], fromBeginning: true })
  const seen = signal()
  await consumer.run({ eachMessage: async () => seen.give() })
  await done.given
  await seen.given
  await consumer.disconnect()
  await producer.disconnect()
  await admin.disconnect()
  return results.map(withoutLuck)
}

/** Times, ids, places and keys in the hands of the broker are not compared; of what a broker serves, only that it says so. */
function withoutLuck(result: unknown): unknown {
  const hidden = new Set(['host', 'port', 'clusterId', 'producerId', 'logAppendTime', 'memberId', 'leaderId', 'clientHost', 'errorMessage'])
  const told = (key: string, value: unknown) => (hidden.has(key) && value !== null ? typeof value : value)
  return JSON.parse(JSON.stringify(result ?? null, (key, value) => (typeof value === 'bigint' ? `${value}n` : told(key, value))))
}

async function askCluster(cluster: Cluster): Promise<unknown[]> {
  const results: unknown[] = []
  const check = async (call: () => unknown) => results.push(await failure(call))
  await check(() => cluster.isConnected())
  await check(() => cluster.getNodeIds().map(Number))
  await check(() => cluster.findTopicPartitionMetadata('led').sort((a, b) => a.partitionId - b.partitionId))
  await check(() => cluster.findTopicPartitionMetadata('not-there'))
  await check(() => cluster.findLeaderForPartitions('led', [2, 0, 9]))
  await check(async () => ({ ...(await cluster.metadata()), topicMetadata: 'all of them' }))
  await check(() => cluster.refreshMetadata())
  await check(() => cluster.refreshMetadataIfNecessary())
  await check(() => cluster.addTargetTopic('led'))
  await check(() => cluster.addTargetTopic('bad name'))
  await check(() => cluster.addMultipleTargetTopics(['led']))
  await check(() => [cluster.defaultOffset({ fromBeginning: true }), cluster.defaultOffset({ fromBeginning: false })])
  const partitions = [{ partition: 0 }, { partition: 2 }]
  for (const from of [
    { fromBeginning: true },
    { fromBeginning: false },
    { fromTimestamp: 1_699_999_999_999 },
    { fromTimestamp: 1_800_000_000_000 },
  ])
    await check(() =>
      cluster.fetchTopicsOffset([{ topic: 'led', partitions, ...from } as Parameters<Cluster['fetchTopicsOffset']>[0][number]]),
    )
  await check(() => cluster.findGroupCoordinatorMetadata({ groupId: GROUP }))
  await check(async () => (await cluster.findControllerBroker()).isConnected())
  await check(async () => (await cluster.findBroker({ nodeId: '1' })).isConnected())
  await check(async () => new Set([await cluster.findBroker({ nodeId: '1' }), await cluster.findControllerBroker()]).size)
  await check(() => cluster.findBroker({ nodeId: '99' }))
  await check(() => cluster.connect())
  return results
}

async function askBroker({ CompressionTypes }: Library, broker: WholeBroker): Promise<unknown[]> {
  const results: unknown[] = []
  const check = async (call: () => unknown) => results.push(await failure(call))
  await check(() => broker.isConnected())
  await check(async () => {
    const versions = await broker.apiVersions()
    return [typeof versions[0]?.maxVersion, versions[3], versions[12]]
  })
  await check(() => broker.metadata(['led']))
  await check(() => broker.metadata(['bad name']))

  // Records.
  const produce = (messages: object[], more: object = {}) =>
    broker.produce({ topicData: [{ topic: 'led', partitions: [{ partition: 0, messages: messages as never }] }], ...more })
  const at = (i: number) => ({ timestamp: `${1_700_000_000_000 + i}` })
  await check(() => produce([{ key: 'k', value: 'v', headers: { a: 'x', b: [Buffer.from('y'), 'z'] }, ...at(1) }]))
  await check(() =>
    produce([
      { key: null, value: null, ...at(2) },
      { key: Buffer.from('bytes'), value: '', ...at(3) },
    ]),
  )
  await check(() =>
    produce(
      [
        { value: 'packed', ...at(4) },
        { value: 'together', ...at(5) },
      ],
      { compression: CompressionTypes.GZIP },
    ),
  )
  await check(() => produce([{ value: 'unanswered', ...at(6) }], { acks: 0 }))
  await check(() => produce([{ value: 'leader', ...at(7) }], { acks: 1, timeout: 2000 }))
  await check(() => broker.produce({ topicData: [{ topic: 'led', partitions: [{ partition: 77, messages: [{ value: 'x' }] }] }] }))
  const fetch = (fetchOffset: string, partition = 0, more: object = {}) =>
    broker.fetch({ topics: [{ topic: 'led', partitions: [{ partition, fetchOffset, maxBytes: 1_048_576 }] }], maxWaitTime: 100, ...more })
  await check(() => fetch('0'))
  await check(() => fetch('4', 0, { isolationLevel: 0, minBytes: 1, maxBytes: 1000, rackId: 'r' }))
  await check(() => fetch('7'))
  await check(() => fetch('999'))
  await check(() => fetch('0', 77))
  await check(() => broker.listOffsets!({ topics: [{ topic: 'led', partitions: [{ partition: 0 }, { partition: 0, timestamp: -2 }] }] }))
  await check(() => broker.listOffsets!({ topics: [{ topic: 'led', partitions: [{ partition: 77 }] }] }))
  await check(() => broker.deleteRecords!({ topics: [{ topic: 'led', partitions: [{ partition: 0, offset: '2' }] }] }))
  await check(() => broker.deleteRecords!({ topics: [{ topic: 'led', partitions: [{ partition: 0, offset: '999' }] }] }))
  await check(() => fetch('0'))

  // Topics.
  await check(() => broker.createTopics!({ topics: [{ topic: 'by-broker', numPartitions: 1, replicationFactor: 1 }] }))
  await check(() => broker.createTopics!({ topics: [{ topic: 'by-broker' }, { topic: 'bad name' }] }))
  await check(() => broker.createPartitions!({ topicPartitions: [{ topic: 'by-broker', count: 2 }] }))
  await check(() => broker.createPartitions!({ topicPartitions: [{ topic: 'by-broker', count: 1 }] }))
  const resource = { type: 2, name: 'by-broker' }
  await check(() => broker.describeConfigs!({ resources: [{ ...resource, configNames: ['retention.ms'] }], includeSynonyms: true }))
  await check(() => broker.alterConfigs!({ resources: [{ ...resource, configEntries: [{ name: 'retention.ms', value: '1000' }] }] }))
  await check(() => broker.alterConfigs!({ resources: [{ ...resource, configEntries: [{ name: 'no.such', value: '1' }] }] }))
  await check(() => broker.deleteTopics!({ topics: ['by-broker'] }))
  await check(() => broker.deleteTopics!({ topics: ['not-there'] }))
  await check(() =>
    broker.alterPartitionReassignments({ topics: [{ topic: 'led', partitionAssignment: [{ partition: 77, replicas: [1] }] }] }),
  )
  await check(async () => (await broker.listPartitionReassignments({ topics: [{ topic: 'led', partitions: [0] }] })).topics.length)
  return results
}

/** A member by hand. */
async function askAboutGroups({ AssignerProtocol }: Library, broker: WholeBroker): Promise<unknown[]> {
  const results: unknown[] = []
  const check = async (call: () => unknown) => results.push(await failure(call))
  const { MemberMetadata, MemberAssignment } = AssignerProtocol
  const metadata = MemberMetadata.encode({ version: 0, topics: ['led'], userData: Buffer.alloc(0) })
  const joining = { groupId: GROUP, sessionTimeout: 10_000, rebalanceTimeout: 10_000, groupProtocols: [{ name: 'mine', metadata }] }
  const joined = (await broker.joinGroup!(joining)) as { generationId: number; memberId: string; leaderId: string; members: object[] }
  results.push({ ...joined, isLeader: joined.leaderId === joined.memberId })
  const { generationId, memberId } = joined
  const memberAssignment = MemberAssignment.encode({ version: 0, assignment: { led: [0] }, userData: Buffer.alloc(0) })
  await check(() => broker.syncGroup!({ groupId: GROUP, generationId, memberId, groupAssignment: [{ memberId, memberAssignment }] }))
  const member = { groupId: GROUP, groupGenerationId: generationId, memberId }
  await check(() => broker.heartbeat!(member))
  await check(() => broker.heartbeat!({ ...member, groupGenerationId: 99 }))
  const offsets = (offset: string) => [
    {
      topic: 'led',
      partitions: [
        { partition: 0, offset, metadata: 'mine' },
        { partition: 1, offset },
      ],
    },
  ]
  await check(() => broker.offsetCommit({ ...member, topics: offsets('3') }))
  await check(() => broker.offsetCommit({ ...member, memberId: 'nobody', topics: offsets('3') }))
  await check(() =>
    broker.offsetFetch({ groupId: GROUP, topics: [{ topic: 'led', partitions: [0, 2].map((partition) => ({ partition, offset: '' })) }] }),
  )
  await check(() => broker.offsetFetch({ groupId: GROUP, topics: [] }))
  await check(() => broker.describeGroups({ groupIds: [GROUP] }))
  await check(() => broker.describeGroups({ groupIds: ['no-such-group'] }))
  await check(async () => {
    const { groups, ...rest } = (await broker.listGroups!()) as { groups: { groupId: string }[] }
    return { groups: groups.filter(({ groupId }) => groupId === GROUP), ...rest }
  })
  await check(() => broker.deleteGroups!([GROUP]))
  await check(() => broker.leaveGroup!({ groupId: GROUP, memberId }))
  await check(() => broker.leaveGroup!({ groupId: GROUP, memberId: 'nobody' }))
  await check(() => broker.deleteGroups!([GROUP]))
  await check(() => broker.findGroupCoordinator!({ groupId: GROUP }))
  return results
}

/** A transaction by hand. */
async function askAboutTransactions(cluster: Cluster, group: WholeBroker): Promise<unknown[]> {
  const results: unknown[] = []
  const check = async (call: () => unknown) => results.push(await failure(call))
  const asked = { groupId: 'txn', coordinatorType: 1 }
  const broker = (await cluster.findGroupCoordinator(asked)) as WholeBroker
  const started = (await broker.initProducerId!({ transactionalId: 'txn', transactionTimeout: 30_000 })) as {
    producerId: string
    producerEpoch: number
  }
  results.push(started)
  const { producerId, producerEpoch } = started
  const producer = { transactionalId: 'txn', producerId, producerEpoch }
  await check(() => broker.addPartitionsToTxn!({ ...producer, topics: [{ topic: 'led', partitions: [1] }] }))
  const partitions = [{ partition: 1, firstSequence: 0, messages: [{ value: 'in', timestamp: '1700000000000' }] }]
  await check(() => broker.produce({ ...producer, producerId: producerId as never, topicData: [{ topic: 'led', partitions }] }))
  await check(() => broker.addOffsetsToTxn!({ ...producer, groupId: 'txn-group' }))
  const topics = [{ topic: 'led', partitions: [{ partition: 1, offset: '1', metadata: 'm' }] }]
  await check(() => group.txnOffsetCommit!({ ...producer, groupId: 'txn-group', topics }))
  await check(() => broker.endTxn!({ ...producer, transactionResult: false }))
  await check(() => broker.endTxn!({ ...producer, producerEpoch: 99, transactionResult: true }))
  const fetch = async (fetchOffset: string) => {
    const partitions = [{ partition: 1, fetchOffset, maxBytes: 100_000 }]
    return (await broker.fetch({ topics: [{ topic: 'led', partitions }], maxWaitTime: 2000 })).responses[0].partitions[0]
  }
  // The marker may be a moment on its way, and in another segment: it is years younger than the message.
  while ((await fetch('1')).messages.length === 0);
  const { abortedTransactions, messages } = await fetch('0')
  const { timestamp, batchContext, ...marker } = (await fetch('1')).messages[0]
  results.push(abortedTransactions, messages[0], marker, batchContext.isControlBatch, batchContext.timestampType)
  await check(() => broker.initProducerId!({}))
  return results
}
