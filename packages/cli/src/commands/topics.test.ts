import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Admin, BrokerError } from '@tidelog/client'
import { errorTable } from '@tidelog/protocol'
import { runWith } from '../command-harness.ts'
import { topics } from './topics.ts'

const server = ['--bootstrap-server', 'b:1']
const partition = {
  leaderId: 1,
  leaderEpoch: 0,
  replicas: [1],
  isr: [1],
  offlineReplicas: [],
  eligibleLeaderReplicas: [],
  lastKnownElr: [],
}
const topic = (name: string) => ({ name, topicId: 'MJziO7EqTHKz5-zPo8U7lw', isInternal: name.startsWith('__') })

/** A cluster with the topics `names`, each with one partition. */
function clusterOf(...names: string[]): Partial<Admin> {
  return {
    listTopics: async ({ includeInternal = false } = {}) => names.map(topic).filter(({ isInternal }) => includeInternal || !isInternal),
    describeTopics: async (wanted: readonly string[]) =>
      new Map(wanted.map((name) => [name, { ...topic(name), partitions: [{ ...partition, partition: 0 }] }])),
    describeConfigs: async (resources) =>
      resources.map((resource) => ({
        resource,
        configs: [
          {
            name: 'retention.ms',
            value: '1000',
            source: 'dynamic-topic-config',
            isReadOnly: false,
            isSensitive: false,
            type: 'long',
            synonyms: [],
            documentation: null,
          },
          {
            name: 'segment.bytes',
            value: '1',
            source: 'default-config',
            isReadOnly: false,
            isSensitive: false,
            type: 'int',
            synonyms: [],
            documentation: null,
          },
        ],
      })),
    describeCluster: async () => ({ clusterId: 'c', controllerId: 1, brokers: [{ nodeId: 1, host: 'b', port: 1, rack: null }] }),
  }
}

test('--list prints names, --exclude-internal and --topic choose among them', async () => {
  const admin = clusterOf('__consumer_offsets', 'a', 'ab')
  assert.equal((await runWith(topics, { admin }, ...server, '--list')).stdout, '__consumer_offsets\na\nab\n')
  assert.equal((await runWith(topics, { admin }, ...server, '--list', '--exclude-internal')).stdout, 'a\nab\n')
  assert.equal((await runWith(topics, { admin }, ...server, '--list', '--topic', 'a')).stdout, 'a\n')
  assert.equal((await runWith(topics, { admin }, ...server, '--list', '--topic', 'a.', '--output', 'json')).stdout, '[{"topic":"ab"}]\n')
})

test('--describe prints topic and partitions, as a table or for machines', async () => {
  const admin = clusterOf('a')
  const table = await runWith(topics, { admin }, ...server, '--describe', '--topic', 'a')
  assert.equal(
    table.stdout,
    'Topic: a\tTopicId: MJziO7EqTHKz5-zPo8U7lw\tPartitionCount: 1\tReplicationFactor: 1\tConfigs: retention.ms=1000\n' +
      '\tTopic: a\tPartition: 0\tLeader: 1\tReplicas: 1\tIsr: 1\tElr: \tLastKnownElr: \n',
  )
  const csv = await runWith(topics, { admin }, ...server, '--describe', '--output=csv')
  assert.equal(
    csv.stdout,
    'topic,topicId,isInternal,partition,leader,replicas,isr,elr,lastKnownElr,configs\na,MJziO7EqTHKz5-zPo8U7lw,false,0,1,1,1,,,"{""retention.ms"":""1000""}"\n',
  )
})

test('--describe of a topic that does not exist is an error unless --if-exists', async () => {
  const admin = clusterOf()
  const missing = await runWith(topics, { admin }, ...server, '--describe', '--topic', 'nothere')
  assert.deepEqual(
    [missing.code, missing.stdout],
    [1, "Error while executing topic command : Topic 'nothere' does not exist as expected\n"],
  )
  const allowed = await runWith(topics, { admin }, ...server, '--describe', '--topic', 'nothere', '--if-exists')
  assert.deepEqual([allowed.code, allowed.stdout], [0, ''])
})

test('--create hands everything to the broker, and prints its refusal in its own words', async () => {
  let asked: unknown
  const admin: Partial<Admin> = {
    createTopics: async ([first]) => {
      asked = first
      if (first?.topic === 'there')
        throw new BrokerError(errorTable.TOPIC_ALREADY_EXISTS.code, 'topic there', "Topic 'there' already exists.")
      return []
    },
  }
  const made = await runWith(
    topics,
    { admin },
    ...server,
    '--create',
    '--topic',
    'a_b',
    '--partitions',
    '3',
    '--config',
    'x=1',
    '--config',
    'y=2',
  )
  assert.match(made.stdout, /^WARNING: Due to limitations in metric names.*\nCreated topic a_b\.\n$/)
  assert.deepEqual(asked, {
    topic: 'a_b',
    numPartitions: 3,
    replicationFactor: undefined,
    assignments: undefined,
    configs: new Map([
      ['x', '1'],
      ['y', '2'],
    ]),
  })
  const refused = await runWith(topics, { admin }, ...server, '--create', '--topic', 'there')
  assert.deepEqual([refused.code, refused.stdout], [1, "Error while executing topic command : Topic 'there' already exists.\n"])
  assert.equal((await runWith(topics, { admin }, ...server, '--create', '--topic', 'there', '--if-not-exists')).code, 0)
  assert.match(
    (await runWith(topics, { admin }, ...server, '--create', '--topic', 'p', '--partitions', '0')).stdout,
    /The partitions must be greater than 0/,
  )
})

test('options that do not go together print why, then the usage, and exit with 1', async () => {
  const cases: [string[], string][] = [
    [[...server], 'Command must include exactly one action: --list, --describe, --create, --alter or --delete'],
    [[...server, '--list', '--create'], 'Command must include exactly one action: --list, --describe, --create, --alter or --delete'],
    [['--list'], '--bootstrap-server must be specified'],
    [[...server, '--create'], 'Missing required argument "[topic]"'],
    [[...server, '--alter', '--topic', 'a'], 'Missing required argument "[partitions]"'],
    [[...server, '--list', '--partitions', '3'], 'Option "[partitions]" can\'t be used with option "[list]"'],
  ]
  for (const [args, message] of cases) {
    const { code, stderr } = await runWith(topics, {}, ...args)
    assert.equal(code, 1)
    assert.equal(stderr.split('\n')[0], message)
    assert.match(stderr, /Usage: tidelog topics/)
  }
})

test('--help goes to stdout with exit code 0', async () => {
  const { code, stdout } = await runWith(topics, {}, '--help')
  assert.equal(code, 0)
  assert.match(stdout, /--replica-assignment <ids>/)
})
