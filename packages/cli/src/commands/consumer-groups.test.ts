import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Admin, BrokerError, PartitionMap } from '@tidelog/client'
import { errorTable } from '@tidelog/protocol'
import { temporaryDirectory } from '@tidelog/testkit'
import { runWith } from '../command-harness.ts'
import { consumerGroups } from './consumer-groups.ts'

const server = ['--bootstrap-server', 'b:1']
const resetCons = [...server, '--reset-offsets', '--group', 'g1', '--topic', 'cons']

const classic = { type: 'classic', groupEpoch: undefined, targetAssignmentEpoch: undefined } as const

interface Cluster {
  state?: string
  committed?: number
  written?: unknown[]
}

/** Group g1 has committed an offset of cons-0, whose records are 2 to 11. */
function cluster({ state = 'Empty', committed = 6, written = [] }: Cluster = {}): Partial<Admin> {
  return {
    describeConsumerGroups: async (ids) =>
      new Map(
        ids.map((groupId) => {
          if (groupId !== 'g1') throw new BrokerError(errorTable.GROUP_ID_NOT_FOUND.code, `group ${groupId}`, `Group ${groupId} not found.`)
          const coordinator = { nodeId: 1, host: 'b', port: 1 }
          return [groupId, { groupId, state, protocolType: 'consumer', partitionAssignor: '', members: [], coordinator, ...classic }]
        }),
      ),
    listGroups: async () => [{ groupId: 'g1', protocolType: 'consumer', state, type: 'classic' }],
    // Of one group, which is all that the command asks for.
    listConsumerGroupOffsets: (async () => new PartitionMap([[{ topic: 'cons', partition: 0 }, { offset: committed }]])) as never,
    listOffsets: async (queries) =>
      queries.map(({ topic, partition, spec }) => {
        const offset = spec === 'earliest' ? 2 : spec === 'latest' ? 12 : typeof spec === 'object' && spec.timestamp < 1e12 ? 5 : -1
        return { topic, partition, offset, timestamp: -1, leaderEpoch: -1 }
      }),
    describeTopics: async (names: readonly string[]) =>
      new Map(
        names.map((name) => {
          if (name !== 'cons') throw new BrokerError(errorTable.UNKNOWN_TOPIC_OR_PARTITION.code, `topic ${name}`)
          const partition = {
            leaderId: 1,
            leaderEpoch: 0,
            replicas: [1],
            isr: [1],
            offlineReplicas: [],
            eligibleLeaderReplicas: null,
            lastKnownElr: null,
          }
          return [name, { name, topicId: 'x', isInternal: false, partitions: [{ ...partition, partition: 0 }] }]
        }),
      ),
    alterConsumerGroupOffsets: async (group, offsets) => {
      written.push([group, offsets])
    },
  }
}

const table = (offset: number) =>
  `\nGROUP           TOPIC           PARTITION  NEW-OFFSET\ng1              cons            0          ${offset}\n`

test('--describe of a group that does not exist says so in the words of Kafka', async () => {
  const { code, stdout } = await runWith(consumerGroups, { admin: cluster() }, ...server, '--describe', '--group', 'nope')
  assert.equal(code, 0)
  assert.equal(
    stdout,
    '\nError: Executing consumer group command failed due to org.apache.kafka.common.errors.GroupIdNotFoundException: Group nope not found.\n',
  )
})

test('--describe --output json gives numbers and nulls', async () => {
  const { stdout } = await runWith(consumerGroups, { admin: cluster() }, ...server, '--describe', '--group', 'g1', '--output', 'json')
  assert.deepEqual(JSON.parse(stdout), [
    {
      group: 'g1',
      topic: 'cons',
      partition: 0,
      leaderEpoch: null,
      currentOffset: 6,
      logEndOffset: 12,
      lag: 6,
      consumerId: null,
      host: null,
      clientId: null,
    },
  ])
})

test('every form of --reset-offsets finds its offset and keeps it within the log', async () => {
  const forms: [string[], number][] = [
    [['--to-earliest'], 2],
    [['--to-latest'], 12],
    [['--to-current'], 6],
    [['--to-offset', '7'], 7],
    [['--to-offset', '0'], 2],
    [['--to-offset', '200'], 12],
    [['--shift-by', '-1'], 5],
    [['--shift-by', '-100'], 2],
    [['--shift-by', '3'], 9],
    [['--to-datetime', '1999-01-01T00:00:00.000'], 5],
    [['--by-duration', 'P12000D'], 5],
  ]
  for (const [form, offset] of forms) {
    const { stdout } = await runWith(consumerGroups, { admin: cluster() }, ...resetCons, ...form, '--dry-run')
    assert.equal(stdout, table(offset), form.join(' '))
  }
})

test('a time after the last record falls back to the end, with a warning', async () => {
  const { stdout } = await runWith(
    consumerGroups,
    { admin: cluster() },
    ...resetCons,
    '--to-datetime',
    '2099-01-01T00:00:00.000Z',
    '--dry-run',
  )
  assert.equal(stdout, `\nWarn: Partition 0 from topic cons is empty. Falling back to latest known offset.\n${table(12)}`)
})

test('only --execute writes offsets, and without it or --dry-run a warning says so', async () => {
  const written: unknown[] = []
  const planned = await runWith(consumerGroups, { admin: cluster({ written }) }, ...resetCons, '--to-earliest')
  assert.match(planned.stderr, /^WARN: No action will be performed as the --execute option is missing/)
  assert.deepEqual(written, [])
  const done = await runWith(consumerGroups, { admin: cluster({ written }) }, ...resetCons, '--to-earliest', '--execute')
  assert.equal(done.stderr, '')
  assert.deepEqual(written, [['g1', [{ group: 'g1', topic: 'cons', partition: 0, offset: 2 }]]])
})

test('a group with members is left alone', async () => {
  const written: unknown[] = []
  const { stdout } = await runWith(
    consumerGroups,
    { admin: cluster({ state: 'Stable', written }) },
    ...resetCons,
    '--to-earliest',
    '--execute',
  )
  assert.match(stdout, /^\nError: Assignments can only be reset if the group 'g1' is inactive, but the current state is Stable\.\n/)
  assert.deepEqual(written, [])
})

test('--export writes what --from-file reads', async (t) => {
  const exported = await runWith(consumerGroups, { admin: cluster() }, ...resetCons, '--to-latest', '--export', '--dry-run')
  assert.equal(exported.stdout, 'cons,0,12\n\n')
  const dir = await temporaryDirectory(t)
  const file = join(dir, 'offsets.csv')
  await writeFile(file, exported.stdout.replace('12', '4'))
  const read = await runWith(
    consumerGroups,
    { admin: cluster() },
    ...server,
    '--reset-offsets',
    '--group',
    'g1',
    '--from-file',
    file,
    '--dry-run',
  )
  assert.equal(read.stdout, table(4))
  await writeFile(file, 'cons,zero,4\n')
  const bad = await runWith(
    consumerGroups,
    { admin: cluster() },
    ...server,
    '--reset-offsets',
    '--group',
    'g1',
    '--from-file',
    file,
    '--dry-run',
  )
  assert.deepEqual([bad.code, /line 1: 'cons,zero,4'/.test(bad.stderr)], [1, true])
})

test('partitions and topics that do not exist are told as Kafka tells them', async () => {
  const partition = await runWith(
    consumerGroups,
    { admin: cluster() },
    ...server,
    '--reset-offsets',
    '--group',
    'g1',
    '--topic',
    'cons:77',
    '--to-latest',
    '--dry-run',
  )
  assert.equal(partition.stdout, '\nError: Executing consumer group command failed due to The partitions "cons-77" do not exist\n')
  const topic = await runWith(
    consumerGroups,
    { admin: cluster() },
    ...server,
    '--reset-offsets',
    '--group',
    'g1',
    '--topic',
    'no',
    '--to-latest',
    '--dry-run',
  )
  assert.equal(topic.stdout, '\nError: Executing consumer group command failed due to This server does not host this topic-partition.\n')
})

test('--delete reports each group that could not go', async () => {
  const admin: Partial<Admin> = {
    deleteConsumerGroups: async ([group]) => {
      if (group === 'nope') throw new BrokerError(errorTable.GROUP_ID_NOT_FOUND.code, 'group nope')
    },
  }
  const both = await runWith(consumerGroups, { admin }, ...server, '--delete', '--group', 'g1', '--group', 'nope')
  assert.equal(
    both.stdout,
    "\nError: Deletion of some consumer groups failed:\n* Group 'nope' could not be deleted due to: org.apache.kafka.common.errors.GroupIdNotFoundException: The group id does not exist.\n\nThese consumer groups were deleted successfully: 'g1'\n",
  )
  const one = await runWith(consumerGroups, { admin }, ...server, '--delete', '--group', 'g1')
  assert.equal(one.stdout, "Deletion of requested consumer groups ('g1') was successful.\n")
})

test('--list filters by state and type, and refuses names that are none', async () => {
  const { stdout } = await runWith(consumerGroups, { admin: cluster() }, ...server, '--list', '--type', '--state')
  assert.equal(
    stdout,
    'GROUP                     TYPE                 STATE               \ng1                        Classic              Empty               \n',
  )
  const bad = await runWith(consumerGroups, { admin: cluster() }, ...server, '--list', '--state', 'bogus')
  assert.match(bad.stderr, /^Invalid state list 'bogus'\. Valid states are: Reconciling, Dead, /)
})

test('--validate-regex needs no broker', async () => {
  assert.equal((await runWith(consumerGroups, {}, '--validate-regex', 'a.*')).stdout, 'The regular expression `a.*` is valid.\n')
  assert.equal(
    (await runWith(consumerGroups, {}, '--validate-regex', '(')).stdout,
    'The regular expression `(` is invalid: missing closing ).\n',
  )
})
