/**
 * How do groups fare when there are many, or when they are large? Ours and Apache Kafka 4.3 in turn, in one go; only the ratios mean anything.
 *
 *   npm run bench -- groups [--only rebalance,heartbeats,consumer-heartbeats,many] [--brokers kafka,ours] [--runs 1] [--part 1]
 *
 * Needs Java 17 and Maven (fetches Kafka once). Prints a Markdown table of medians. `--part 0.1` does a tenth of everything, to try it out. All members
 * live in this process, each on a connection of its own, and share the machine with the broker: latencies are what they see.
 */
import { performance } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { randomUuid, systemRandom } from '@tidelog/core'
import { connect, type FramedConnection } from '@tidelog/net'
import { ConsumerGroupHeartbeat, CreateTopics, FindCoordinator, ListGroups, OffsetCommit } from '@tidelog/protocol'
import { RawMember } from '@tidelog/testkit'
import { withBroker } from './support/brokers.ts'
import { cpuSeconds, peakRssMiB } from './support/processes.ts'

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', default: 'rebalance,heartbeats,consumer-heartbeats,many' },
    brokers: { type: 'string', default: 'kafka,ours' },
    runs: { type: 'string', default: '1' },
    part: { type: 'string', default: '1' },
  },
})
const scaled = (count: number) => Math.max(1, Math.round(count * Number(options.part)))
const brokers = options.brokers.split(',')
let port = 27_600

const MEMBERS = 2000
const MEMBERS_A_GROUP = 100
const HEARTBEAT_EVERY_MS = 1000
const REBALANCE_IN_PROGRESS = 27
/** Partitions of a new offsets topic get their coordinators one after the other: until then a join is told to come back. */
const COME_BACK: readonly number[] = [14, 15, 16]

type Figures = Record<string, number>
const workloads: Record<string, (dial: () => Promise<FramedConnection>) => Promise<Figures>> = {
  rebalance,
  heartbeats: classicHeartbeats,
  'consumer-heartbeats': consumerHeartbeats,
  many: manyGroups,
}

const results = new Map<string, Map<string, Figures[]>>()
for (const name of options.only.split(',')) {
  const workload = workloads[name]
  if (workload === undefined) throw new Error(`no workload ${name}; there are ${Object.keys(workloads).join(', ')}`)
  const ofBroker = new Map<string, Figures[]>(brokers.map((which) => [which, []]))
  results.set(name, ofBroker)
  for (let run = 0; run < Number(options.runs); run++) {
    for (const which of brokers) {
      port += 10
      const overrides = { 'group.min.session.timeout.ms': '1000', 'group.initial.rebalance.delay.ms': '0' }
      const figures = await withBroker(which, { port, overrides }, (pid) => measure(workload, pid))
      ofBroker.get(which)!.push(figures)
      process.stderr.write(`${name} ${which} run ${run + 1} ${JSON.stringify(figures)}\n`)
    }
  }
}
printTable()

async function measure(workload: (dial: () => Promise<FramedConnection>) => Promise<Figures>, pid: number): Promise<Figures> {
  const connections: FramedConnection[] = []
  const dial = async () => {
    const connection = await connect({ host: '127.0.0.1', port, clientId: 'bench', requestTimeoutMs: 120_000 })
    connections.push(connection)
    return connection
  }
  try {
    const first = await dial()
    while ((await first.send(FindCoordinator, 2, { key: 'g', keyType: 0 })).errorCode !== 0) await pause(50)
    const figures = await workload(dial)
    return { ...figures, 'broker CPU s': cpuSeconds(pid), 'peak RSS MiB': peakRssMiB(pid) }
  } finally {
    for (const connection of connections) connection.close()
  }
}

// --- workloads -------------------------------------------------------------------------------------------------------------------

/** A hundred members who all join again at once, over and over: from the first JoinGroup to the last SyncGroup. */
async function rebalance(dial: () => Promise<FramedConnection>): Promise<Figures> {
  const members = await membersOf('rebalanced', scaled(100), dial)
  await settle(members, 0)
  const times: number[] = []
  for (let round = 1; round <= scaled(60); round++) times.push(await settle(members, round))
  // The first ones warm a JVM up.
  const measured = times.slice(Math.floor(times.length / 3))
  return { 'rebalance p50 ms': percentile(measured, 0.5), 'rebalance p99 ms': percentile(measured, 0.99) }
}

async function classicHeartbeats(dial: () => Promise<FramedConnection>): Promise<Figures> {
  const groups: RawMember[][] = []
  for (let group = 0; group < scaled(MEMBERS) / MEMBERS_A_GROUP; group++) {
    const members = await membersOf(`classic-${group}`, Math.min(scaled(MEMBERS), MEMBERS_A_GROUP), dial)
    await settle(members, 0)
    groups.push(members)
  }
  return paced(groups.flat().map((member) => () => mustBeFine('a heartbeat', member.heartbeat())))
}

async function consumerHeartbeats(dial: () => Promise<FramedConnection>): Promise<Figures> {
  const admin = await dial()
  const topic = { name: 'heartbeats', numPartitions: 200, replicationFactor: 1, assignments: [], configs: [] }
  await admin.send(CreateTopics, 7, { topics: [topic], timeoutMs: 30_000, validateOnly: false })
  const members: (() => Promise<void>)[] = []
  for (let index = 0; index < scaled(MEMBERS); index++) {
    const connection = await dial()
    const memberId = randomUuid(systemRandom)
    let [memberEpoch, owned]: [number, { topicId: string; partitions: number[] }[]] = [0, []]
    const heartbeat = async (): Promise<void> => {
      const response = await connection.send(ConsumerGroupHeartbeat, 1, {
        groupId: `consumer-${Math.floor(index / MEMBERS_A_GROUP)}`,
        memberId,
        memberEpoch,
        // Everything that can be told is told in the first one; later ones tell what has been given up and taken.
        ...(memberEpoch === 0
          ? { rebalanceTimeoutMs: 60_000, subscribedTopicNames: ['heartbeats'], topicPartitions: [] }
          : { rebalanceTimeoutMs: -1, topicPartitions: owned }),
      })
      if (memberEpoch === 0 && COME_BACK.includes(response.errorCode)) {
        await pause(20)
        return heartbeat()
      }
      if (response.errorCode !== 0)
        throw new Error(`a heartbeat of the consumer protocol was answered ${response.errorCode} ${response.errorMessage}`)
      memberEpoch = response.memberEpoch
      if (response.assignment !== null) {
        owned = response.assignment.topicPartitions.map(({ topicId, partitions }) => ({ topicId, partitions: [...partitions] }))
      }
    }
    members.push(heartbeat)
  }
  for (const join of members) await join()
  return paced(members)
}

/** Thousands of groups of one member: until all are stable, their commits, and the list of them. */
async function manyGroups(dial: () => Promise<FramedConnection>): Promise<Figures> {
  const count = scaled(5000)
  const connections: FramedConnection[] = []
  // One after the other: socket.listen.backlog.size is 50, and the kernel resets what does not fit.
  while (connections.length < Math.min(count, 500)) connections.push(await dial())
  const groups = Array.from({ length: count }, (_, i) => {
    const member = new RawMember(connections[i % connections.length]!, { groupId: `many-${i}`, sessionTimeoutMs: 300_000 })
    return { groupId: `many-${i}`, member }
  })
  const admin = await dial()
  const topic = { name: 'many', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }
  await admin.send(CreateTopics, 7, { topics: [topic], timeoutMs: 30_000, validateOnly: false })
  const formed = await timed(() =>
    Promise.all(
      groups.map(async ({ member }) => {
        await joined(member)
        await mustBeFine('a sync', member.sync(toEveryone))
      }),
    ),
  )
  const latencies: number[] = []
  const committed = await timed(() =>
    Promise.all(
      groups.map(async ({ groupId, member }) => {
        const partitions = [{ partitionIndex: 0, committedOffset: 1, committedMetadata: '' }]
        const request = {
          groupId,
          generationIdOrMemberEpoch: member.generation,
          memberId: member.memberId,
          topics: [{ name: 'many', partitions }],
        }
        const startMs = performance.now()
        const { topics } = await member.connection.send(OffsetCommit, 9, request)
        latencies.push(performance.now() - startMs)
        await mustBeFine('a commit', Promise.resolve(topics[0]!.partitions[0]!.errorCode))
      }),
    ),
  )
  const { groups: listed } = await admin.send(ListGroups, 5, { statesFilter: ['Stable'], typesFilter: [] })
  if (listed.length !== count) throw new Error(`${listed.length} of ${count} groups are stable`)
  const list = await timed(() => admin.send(ListGroups, 5, { statesFilter: [], typesFilter: [] }))
  return { 'groups formed/s': count / (formed / 1000), 'commits/s': count / (committed / 1000), 'list ms': list }
}

// --- members ---------------------------------------------------------------------------------------------------------------------

async function membersOf(groupId: string, count: number, dial: () => Promise<FramedConnection>): Promise<RawMember[]> {
  const members: RawMember[] = []
  while (members.length < count) {
    members.push(new RawMember(await dial(), { groupId, sessionTimeoutMs: 300_000, rebalanceTimeoutMs: 60_000 }))
  }
  return members
}

function toEveryone(memberIds: readonly string[]): Map<string, Buffer> {
  return new Map(memberIds.map((memberId, i) => [memberId, Buffer.from(`partition ${i}`)]))
}

/** All members join at once, with news, until they are in one generation. @returns How long it took in ms. */
async function settle(members: readonly RawMember[], round: number): Promise<number> {
  // Version 0 of a subscription: of no topics, with four bytes of user data that differ from round to round.
  const news = Buffer.from(`00000000000000000004${round.toString(16).padStart(8, '0')}`, 'hex')
  const synced = new Map<RawMember, number>()
  const areSettled = () => synced.size === members.length && new Set(synced.values()).size === 1
  return timed(() =>
    Promise.all(
      members.map(async (member) => {
        while (!areSettled()) {
          synced.delete(member)
          await joined(member, news)
          const outcome = await member.sync(toEveryone)
          if (outcome === REBALANCE_IN_PROGRESS) continue
          await mustBeFine('a sync', Promise.resolve(outcome))
          synced.set(member, member.generation)
          // A group's first generations: whoever came too early hears of the others by its heartbeats.
          while (!areSettled() && (await member.heartbeat()) === 0) await pause(5)
        }
      }),
    ),
  )
}

/** Each member once a second, all of them spread over it, for ten seconds. */
async function paced(calls: readonly (() => Promise<void>)[]): Promise<Figures> {
  const latencies: number[] = []
  const seconds = 12
  const warmUpMs = 2000
  const startMs = performance.now()
  await Promise.all(
    calls.map(async (call, index) => {
      for (let second = 0; second < seconds; second++) {
        const dueMs = startMs + second * HEARTBEAT_EVERY_MS + (index * HEARTBEAT_EVERY_MS) / calls.length
        await pause(Math.max(0, dueMs - performance.now()))
        const sentMs = performance.now()
        await call()
        if (sentMs - startMs > warmUpMs) latencies.push(performance.now() - sentMs)
      }
    }),
  )
  return { 'p50 ms': percentile(latencies, 0.5), 'p99 ms': percentile(latencies, 0.99), 'p99.9 ms': percentile(latencies, 0.999) }
}

async function joined(member: RawMember, news?: Buffer): Promise<void> {
  let errorCode = await member.join(news)
  while (COME_BACK.includes(errorCode)) {
    await pause(20)
    errorCode = await member.join(news)
  }
  await mustBeFine('a join', Promise.resolve(errorCode))
}

async function mustBeFine(what: string, answer: Promise<number>): Promise<void> {
  const errorCode = await answer
  if (errorCode !== 0) throw new Error(`${what} was answered ${errorCode}`)
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now()
  await work()
  return performance.now() - startMs
}

function percentile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
}

function printTable(): void {
  const shown = (value: number | undefined) =>
    value === undefined ? '–' : value >= 1000 ? Math.round(value).toLocaleString('en') : value.toPrecision(3)
  console.log('| workload | figure | Apache Kafka 4.3 | ours | ours ÷ Kafka |\n|---|---|---|---|---|')
  for (const [name, ofBroker] of results) {
    const figures = Object.keys([...ofBroker.values()][0]?.[0] ?? {})
    for (const figure of figures) {
      const [kafka, ours] = ['kafka', 'ours'].map((which) => {
        const values = ofBroker.get(which)?.map((measured) => measured[figure]!)
        return values && percentile(values, 0.5)
      })
      const ratio = kafka && ours ? `${(ours / kafka).toFixed(2)}×` : '–'
      console.log(`| ${name} | ${figure} | ${shown(kafka)} | ${shown(ours)} | ${ratio} |`)
    }
  }
}
