import assert from 'node:assert/strict'
import { test } from 'node:test'
import { collisionWarning, isWanted, parseReplicaAssignment, partitionLine, type TopicState, topicLine } from './topic-text.ts'

const topic: TopicState = {
  name: 'foo.bar',
  topicId: 'MJziO7EqTHKz5-zPo8U7lw',
  isInternal: false,
  partitions: [{ partition: 0, leader: 1, replicas: [1, 2], isr: [1], elr: [], lastKnownElr: [] }],
  configs: [
    { name: 'cleanup.policy', value: 'compact', isDefault: false },
    { name: 'min.insync.replicas', value: '1', isDefault: false },
    { name: 'segment.bytes', value: '1073741824', isDefault: true },
    { name: 'retention.ms', value: '1000', isDefault: false },
  ],
}
const [partition] = topic.partitions
const filter = { underReplicated: false, unavailable: false, underMinIsr: false, atMinIsr: false, liveBrokers: new Set([1, 2]) }

test("a topic's line is Kafka's, byte for byte", () => {
  assert.equal(
    topicLine(topic),
    'Topic: foo.bar\tTopicId: MJziO7EqTHKz5-zPo8U7lw\tPartitionCount: 1\tReplicationFactor: 2\tConfigs: cleanup.policy=compact,min.insync.replicas=1,retention.ms=1000\n',
  )
})

test("a partition's line is Kafka's, with a leader or none, moving or not, with or without eligible leaders", () => {
  assert.equal(partitionLine('foo', partition!), '\tTopic: foo\tPartition: 0\tLeader: 1\tReplicas: 1,2\tIsr: 1\tElr: \tLastKnownElr: \n')
  assert.equal(
    partitionLine('foo', {
      ...partition!,
      leader: undefined,
      elr: undefined,
      lastKnownElr: undefined,
      addingReplicas: [2],
      removingReplicas: [3],
    }),
    '\tTopic: foo\tPartition: 0\tLeader: none\tReplicas: 1,2\tIsr: 1\tAdding Replicas: 2\tRemoving Replicas: 3\tElr: N/A\tLastKnownElr: N/A\n',
  )
})

test('the filters of --describe look at ISR, leader and min.insync.replicas', () => {
  assert.equal(isWanted(topic, partition!, filter), true)
  assert.equal(isWanted(topic, partition!, { ...filter, underReplicated: true }), true)
  assert.equal(isWanted(topic, { ...partition!, isr: [1, 2] }, { ...filter, underReplicated: true }), false)
  assert.equal(isWanted(topic, partition!, { ...filter, unavailable: true }), false)
  assert.equal(isWanted(topic, partition!, { ...filter, unavailable: true, liveBrokers: new Set([2]) }), true)
  assert.equal(isWanted(topic, partition!, { ...filter, atMinIsr: true }), true)
  assert.equal(isWanted(topic, { ...partition!, isr: [] }, { ...filter, underMinIsr: true }), true)
})

test('a replica assignment names brokers partition by partition, and is refused when it cannot be', () => {
  assert.deepEqual(parseReplicaAssignment('0:1,1:2'), [
    [0, 1],
    [1, 2],
  ])
  assert.throws(() => parseReplicaAssignment('1:1,1'), { message: 'Partition replica lists may not contain duplicate entries: 1' })
  assert.throws(() => parseReplicaAssignment('0:1,1'), { message: 'Partition 1 has different replication factor: 1' })
  assert.throws(() => parseReplicaAssignment('0:x'), { message: 'For input string: "x"' })
})

test('only names with a period or an underscore are warned about', () => {
  assert.equal(collisionWarning('plain-name'), '')
  assert.match(collisionWarning('a_b'), /^WARNING: Due to limitations in metric names/)
})
