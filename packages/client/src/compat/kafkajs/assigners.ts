import type { Assignor, GroupMember } from '../../consumer/assignors/assignor.ts'
import type { TopicPartition } from '../../topic-partition.ts'
import { AssignerProtocol } from './assigner-protocol.ts'
import type { KafkaJSCluster } from './cluster.ts'
import { KafkaJSNonRetriableError } from './errors.ts'
import type { Assigner, Assignment, PartitionAssigner } from './types-group.ts'

const { MemberAssignment, MemberMetadata } = AssignerProtocol

/**
 * kafkajs's default: partitions of all topics, in the order in which the leader subscribes to them, dealt to members in order of id. Under
 * kafkajs's name and in its bytes, so that members of both share a group.
 */
const roundRobin: PartitionAssigner = ({ cluster }) => ({
  name: 'RoundRobinAssigner',
  version: 0,
  async assign({ members, topics }) {
    const ids = members.map(({ memberId }) => memberId).sort()
    const byMember = new Map<string, Map<string, number[]>>()
    const partitions = topics.flatMap((topic) =>
      cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => ({ topic, partitionId })),
    )
    for (const [index, { topic, partitionId }] of partitions.entries()) {
      const memberId = ids[index % ids.length]!
      const assigned = byMember.get(memberId) ?? new Map<string, number[]>()
      byMember.set(memberId, assigned)
      assigned.set(topic, [...(assigned.get(topic) ?? []), partitionId])
    }
    return [...byMember].map(([memberId, assigned]) => ({
      memberId,
      memberAssignment: MemberAssignment.encode({ version: 0, assignment: Object.fromEntries(assigned) }),
    }))
  },
  protocol({ topics }) {
    return { name: 'RoundRobinAssigner', metadata: MemberMetadata.encode({ version: 0, topics }) }
  },
})

export const PartitionAssigners: { roundRobin: PartitionAssigner } = { roundRobin }

interface AssignorContext {
  readonly cluster: KafkaJSCluster
  /** What this member subscribes to. */
  topics(): string[]
  /** Hears of what this member gets, also of topics that it does not subscribe to. */
  onAssignment(assignment: readonly TopicPartition[]): void
}

/** An assigner of kafkajs as one of our assignors. */
export function assignorOf(assigner: Assigner, { cluster, topics, onAssignment }: AssignorContext): Assignor {
  return {
    name: assigner.name,
    onAssignment: (assignment) => onAssignment(assignment),
    supportedProtocols: ['eager'],
    subscriptionUserData: () => userDataOf(assigner, topics()),
    async assign(members) {
      await cluster.addMultipleTargetTopics(topics())
      await cluster.refreshMetadata()
      const assigned = await assigner.assign({ members: members.map((member) => memberOf(assigner, member)), topics: topics() })
      return new Map(
        assigned.map(({ memberId, memberAssignment }) => [memberId, partitionsOf(MemberAssignment.decode(memberAssignment)?.assignment)]),
      )
    },
  }
}

function userDataOf(assigner: Assigner, topics: string[]): Buffer | null {
  const { metadata } = assigner.protocol({ topics })
  try {
    return MemberMetadata.decode(metadata)?.userData ?? null
  } catch {
    throw new KafkaJSNonRetriableError(`the metadata of assigner ${assigner.name} is not made by AssignerProtocol.MemberMetadata`)
  }
}

const memberOf = ({ version }: Assigner, { memberId, topics, userData }: GroupMember) => ({
  memberId,
  memberMetadata: MemberMetadata.encode({ version, topics: [...topics], userData: userData ?? Buffer.alloc(0) }),
})

const partitionsOf = (assignment: Assignment = {}): TopicPartition[] =>
  Object.entries(assignment).flatMap(([topic, partitions]) => partitions.map((partition) => ({ topic, partition })))
