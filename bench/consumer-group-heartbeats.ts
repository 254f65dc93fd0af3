/** How long does a heartbeat of a large consumer group take, when nothing changes and while members come and go? */
import { connect } from '@tidelog/net'
import { ConsumerGroupHeartbeat, CreateTopics, errorName, FindCoordinator } from '@tidelog/protocol'
import { startTestBroker } from '@tidelog/tidelog'

const membersCount = Number(process.argv[2] ?? 2000)
const connectionsCount = 20
const partitions = 2 * membersCount
const heartbeatsCount = 20_000
const groupId = 'large'

interface Member {
  readonly memberId: string
  epoch: number
  owned: { topicId: string; partitions: number[] }[]
}

const broker = await startTestBroker({ config: { 'offsets.topic.num.partitions': '1', 'group.consumer.max.size': '100000' } })
const port = Number(broker.bootstrapServers.split(':').at(-1))
const open = (clientId: string) => connect({ host: '127.0.0.1', port, clientId, requestTimeoutMs: 30_000 })
const connections = await Promise.all(Array.from({ length: connectionsCount }, (_, i) => open(`bench-${i}`)))
const [first] = connections
const topic = { name: 't', numPartitions: partitions, replicationFactor: 1, assignments: [], configs: [] }
await first!.send(CreateTopics, 7, { topics: [topic], timeoutMs: 60_000 })
await first!.send(FindCoordinator, 4, { keyType: 0, coordinatorKeys: [groupId] })

const members: Member[] = Array.from({ length: membersCount }, (_, i) => ({ memberId: `member-${i}`, epoch: 0, owned: [] }))

/** @returns Ms that the answer took. */
async function beat(member: Member, index: number, full = member.epoch === 0): Promise<number> {
  const startMs = performance.now()
  const answer = await connections[index % connectionsCount]!.send(ConsumerGroupHeartbeat, 1, {
    groupId,
    memberId: member.memberId,
    memberEpoch: member.epoch,
    rebalanceTimeoutMs: full ? 60_000 : -1,
    subscribedTopicNames: full ? ['t'] : null,
    subscribedTopicRegex: null,
    topicPartitions: full || member.epoch === 0 ? member.owned : null,
  })
  const tookMs = performance.now() - startMs
  const error = errorName(answer.errorCode)
  if (error === 'NONE') {
    member.epoch = Math.max(0, answer.memberEpoch)
    if (answer.assignment !== null) member.owned = answer.assignment.topicPartitions
  } else if (error === 'UNKNOWN_MEMBER_ID' || error === 'FENCED_MEMBER_EPOCH') Object.assign(member, { epoch: 0, owned: [] })
  else if (!/COORDINATOR/.test(error)) throw new Error(error)
  return tookMs
}

const percentile = (times: number[], part: number): string => times.sort((a, b) => a - b)[Math.floor(times.length * part)]!.toFixed(2)
const report = (what: string, times: number[]): void => {
  process.stdout.write(`${what}: ${times.length} heartbeats, p50 ${percentile(times, 0.5)} ms, p99 ${percentile(times, 0.99)} ms, `)
  process.stdout.write(`p99.9 ${percentile(times, 0.999)} ms, most ${percentile(times, 1 - 1 / times.length)} ms\n`)
}

while (members[0]!.epoch === 0) await beat(members[0]!, 0)
const startMs = performance.now()
const joining: number[] = []
for (const [i, member] of members.entries()) joining.push(await beat(member, i))
report('joining, one after the other', joining)
const isDone = () => new Set(members.map(({ epoch }) => epoch)).size === 1 && members.every(({ owned }) => owned.length > 0)
while (!isDone()) for (const [i, member] of members.entries()) await beat(member, i, true)
process.stdout.write(`stable after ${((performance.now() - startMs) / 1000).toFixed(1)} s\n`)

const quiet: number[] = []
for (let i = 0; i < heartbeatsCount; i++) quiet.push(await beat(members[i % membersCount]!, i))
report('nothing changes', quiet)

const busy: number[] = []
for (let i = 0; i < heartbeatsCount; i++) {
  const member = members[i % membersCount]!
  if (i % 500 === 0) {
    await connections[0]!.send(ConsumerGroupHeartbeat, 1, {
      groupId,
      memberId: member.memberId,
      memberEpoch: -1,
      subscribedTopicRegex: null,
    })
    Object.assign(member, { epoch: 0, owned: [] })
  }
  busy.push(await beat(member, i, true))
}
report('one in 500 leaves and comes back', busy)
for (const connection of connections) connection.close()
await broker.close()
