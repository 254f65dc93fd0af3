import { emptyAssignment, type ImmediateAssignor, subscribersByTopic } from './assignor.ts'

/**
 * Per topic, consecutive partitions to members in order; the first members get one more when it does not divide evenly.
 * Members meet the same partition numbers of topics with equal partition counts, which joins rely on.
 */
export const rangeAssignor: ImmediateAssignor = {
  name: 'range',
  supportedProtocols: ['eager'],
  assign(members, partitionCounts) {
    const assignment = emptyAssignment(members)
    for (const [topic, subscribers] of subscribersByTopic(members, partitionCounts)) {
      const count = partitionCounts.get(topic)!
      const share = Math.floor(count / subscribers.length)
      const withOneMore = count % subscribers.length
      let partition = 0
      for (const [index, { memberId }] of subscribers.entries()) {
        const end = partition + share + (index < withOneMore ? 1 : 0)
        for (; partition < end; partition++) assignment.get(memberId)!.push({ topic, partition })
      }
    }
    return assignment
  },
}
