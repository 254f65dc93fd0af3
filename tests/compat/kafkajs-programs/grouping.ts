import type { Assignment, PartitionAssigner } from 'kafkajs'
import { eventually } from '../eventually.ts'
import { kafkaOf, type Program } from './program.ts'

/** An assigner of one's own: its members say who they are, and the leader gives all to the one that asked for it. */
export const grouping: Program = async (library, bootstrap) => {
  const kafka = kafkaOf(library, bootstrap)
  const { AssignerProtocol } = library
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: 'grouped', numPartitions: 4 }] })
  const seenByLeader: unknown[] = []
  const greedy =
    (wish: string): PartitionAssigner =>
    ({ cluster, groupId }) => ({
      name: 'Greedy',
      version: 1,
      async assign({ members, topics }) {
        const wishes = members.map(({ memberMetadata }) => {
          const { topics: subscribed, userData } = AssignerProtocol.MemberMetadata.decode(memberMetadata)!
          return { subscribed, wish: userData.toString() }
        })
        const partitions = topics.flatMap((topic) => cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => partitionId))
        seenByLeader.push({ groupId, topics, partitions, wishes: wishes.map((one) => JSON.stringify(one)).sort() })
        const all: Assignment = Object.fromEntries(topics.map((topic) => [topic, partitions]))
        return members.map(({ memberId }, index) => ({
          memberId,
          memberAssignment: AssignerProtocol.MemberAssignment.encode({
            version: 1,
            assignment: wishes[index]!.wish === 'all' ? all : {},
            userData: Buffer.alloc(0),
          }),
        }))
      },
      protocol: ({ topics }) => ({
        name: 'Greedy',
        metadata: AssignerProtocol.MemberMetadata.encode({ version: 1, topics, userData: Buffer.from(wish) }),
      }),
    })
  const assignments = new Map<string, unknown>()
  const member = async (wish: string) => {
    const consumer = kafka.consumer({ groupId: 'greedy', partitionAssigners: [greedy(wish)], heartbeatInterval: 50, maxWaitTimeInMs: 100 })
    consumer.on(consumer.events.GROUP_JOIN, ({ payload: { memberAssignment, groupProtocol } }) =>
      assignments.set(wish, { memberAssignment, groupProtocol }),
    )
    await consumer.connect()
    await consumer.subscribe({ topics: ['grouped'] })
    await consumer.run({ eachMessage: async () => {} })
    return consumer
  }
  const modest = await member('nothing')
  const greedyOne = await member('all')
  await eventually('both have joined', () => (seenByLeader.at(-1) as { wishes: unknown[] }).wishes.length === 2 && assignments.size === 2)
  const last = seenByLeader.at(-1)
  const assigned = [...assignments].sort()
  const { members } = await modest.describeGroup()
  await greedyOne.disconnect()
  await modest.disconnect()
  await admin.disconnect()
  return { last, assigned, count: members.length }
}

/** Members of one group that read other topics: the assigner of one gives the other what it does not read. */
export const overlapping: Program = async (library, bootstrap) => {
  const kafka = kafkaOf(library, bootstrap)
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: ['mine', 'shared', 'yours'].map((topic) => ({ topic, numPartitions: 2 })) })
  const member = () => kafka.consumer({ groupId: 'overlapping', heartbeatInterval: 50, maxWaitTimeInMs: 100 })
  const first = member()
  await first.connect()
  // At the same time, and without waiting for either.
  const subscribed = ['mine', 'shared'].map((topic) => first.subscribe({ topic }))
  await first.run({ eachMessage: async () => {} })
  await Promise.all(subscribed)
  const second = member()
  const told: unknown[] = []
  const joined: string[][] = []
  second.on(second.events.RECEIVED_UNSUBSCRIBED_TOPICS, ({ payload: { groupId, generationId, memberId, ...topics } }) =>
    told.push([groupId, typeof generationId, typeof memberId, topics]),
  )
  second.on(second.events.GROUP_JOIN, ({ payload }) => joined.push(Object.keys(payload.memberAssignment)))
  await second.connect()
  await second.subscribe({ topics: ['shared', 'yours'] })
  await second.run({ eachMessage: async () => {} })
  await eventually('both are in', async () => (await first.describeGroup()).members.length === 2 && joined.length > 0)
  await second.disconnect()
  await first.disconnect()
  await admin.disconnect()
  return [told[0], joined[0]]
}
