import { compareMembers, emptyAssignment, type ImmediateAssignor, subscribersByTopic } from './assignor.ts'

/** All partitions of all topics in order, dealt to members in turn; a member that does not subscribe to the topic is passed over. */
export const roundRobinAssignor: ImmediateAssignor = {
  name: 'roundrobin',
  supportedProtocols: ['eager'],
  assign(members, partitionCounts) {
    const assignment = emptyAssignment(members)
    const circle = [...members].sort(compareMembers)
    let turn = 0
    for (const [topic, subscribers] of subscribersByTopic(members, partitionCounts)) {
      if (subscribers.length === 0) continue
      const eligible = new Set(subscribers)
      for (let partition = 0; partition < partitionCounts.get(topic)!; partition++) {
        while (!eligible.has(circle[turn % circle.length]!)) turn++
        assignment.get(circle[turn % circle.length]!.memberId)!.push({ topic, partition })
        turn++
      }
    }
    return assignment
  },
}
