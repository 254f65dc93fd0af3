import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ByteWriter } from '@tidelog/core'
import * as protocol from '@tidelog/protocol'

const topicId = 'IWDGM3MXGj4XlcG1EmWZ4w'
const groupId = 'g\u0001"é'
const member = { groupId, memberId: 'm' }
const partitions = [{ topicId, partitions: [0, 2] }]
const named = { topicId, topicName: 't' }
const tasks = [{ subtopologyId: '0', partitions: [1] }]
const owned = [{ ...tasks[0]!, assignmentEpochs: [4] }]
const configs = [{ key: 'k', value: 'v' }]
const stateKey = { groupId, topicId, partition: 3 }
const stateBatches = [{ firstOffset: 1, lastOffset: 2 ** 40, deliveryState: 2, deliveryCount: 5 }]

type AnySchema = { codec(version: number): { write(writer: ByteWriter, value: never): void } }
const rows = (prefix: string, values: readonly (readonly [number, string, object, object])[]) =>
  values.map(([type, name, key, value]) => {
    const schemas = protocol as unknown as Record<string, AnySchema>
    return { key: bytesOf(type, schemas[`${prefix}${name}Key`]!, key), value: bytesOf(0, schemas[`${prefix}${name}Value`]!, value) }
  })

function bytesOf(version: number, schema: AnySchema, fields: object): Buffer {
  const writer = new ByteWriter()
  writer.int16(version)
  schema.codec(version).write(writer, fields as never)
  return writer.toBuffer()
}

const targetAssignment = { assignmentEpoch: 3, assignmentTimestamp: 1_700_000_000_000 }
const client = { clientId: 'c', clientHost: '/127.0.0.1' }

const groups = [
  ...rows('shareGroup', [
    [10, 'MemberMetadata', member, { ...client, rackId: null, subscribedTopicNames: ['t'] }],
    [11, 'Metadata', { groupId }, { epoch: 1, metadataHash: 7 }],
    [12, 'TargetAssignmentMetadata', { groupId }, targetAssignment],
    [13, 'TargetAssignmentMember', member, { topicPartitions: partitions }],
    [14, 'CurrentMemberAssignment', member, { memberEpoch: 2, previousMemberEpoch: 1, state: 0, assignedPartitions: partitions }],
    [
      15,
      'StatePartitionMetadata',
      { groupId },
      { initializingTopics: [{ ...named, partitions: [0] }], initializedTopics: [{ ...named, partitions: [1] }], deletingTopics: [named] },
    ],
  ]),
  ...rows('streamsGroup', [
    [17, 'Metadata', { groupId }, { epoch: 1, metadataHash: 0, validatedTopologyEpoch: 2, lastAssignmentConfigs: configs }],
    [
      19,
      'MemberMetadata',
      member,
      {
        ...client,
        instanceId: null,
        rackId: 'r',
        topologyEpoch: 1,
        processId: 'p',
        userEndpoint: { host: 'h', port: 65_535 },
        clientTags: configs,
      },
    ],
    [20, 'TargetAssignmentMetadata', { groupId }, { assignmentEpoch: 3 }],
    [21, 'TargetAssignmentMember', member, { activeTasks: tasks, standbyTasks: [], warmupTasks: tasks }],
    [
      22,
      'CurrentMemberAssignment',
      member,
      {
        memberEpoch: 2,
        previousMemberEpoch: 1,
        state: 1,
        activeTasks: owned,
        standbyTasks: [],
        warmupTasks: [],
        activeTasksPendingRevocation: tasks,
        standbyTasksPendingRevocation: [],
        warmupTasksPendingRevocation: [],
      },
    ],
    [
      23,
      'Topology',
      { groupId },
      {
        epoch: 1,
        subtopologies: [
          {
            subtopologyId: '0',
            sourceTopics: ['t'],
            sourceTopicRegex: [],
            stateChangelogTopics: [{ name: 'log', partitions: 1, replicationFactor: 3, topicConfigs: configs }],
            repartitionSinkTopics: ['sink'],
            repartitionSourceTopics: [],
            copartitionGroups: [{ sourceTopics: [0], sourceTopicRegex: [], repartitionSourceTopics: [1] }],
          },
        ],
      },
    ],
  ]),
]

const shareStates = rows('share', [
  [
    0,
    'Snapshot',
    stateKey,
    { snapshotEpoch: 1, stateEpoch: 2, leaderEpoch: 3, startOffset: 4, createTimestamp: 5, writeTimestamp: 6, stateBatches },
  ],
  [1, 'Update', stateKey, { snapshotEpoch: 1, leaderEpoch: 3, startOffset: 4, deliveryCompleteCount: 9, stateBatches: [] }],
])

/** Segments with a record of every kind that share groups and Streams groups have, as the broker's own codecs write them: Kafka's tool must read them so too. */
export function writeDumpedGroups(dir: string): { groups: string; shareStates: string } {
  const paths = { groups: join(dir, '00000000000000000000.log'), shareStates: join(dir, '00000000000000000100.log') }
  for (const [path, records] of [
    [paths.groups, groups],
    [paths.shareStates, shareStates],
  ] as const) {
    const tombstones = records.map(({ key }) => ({ key, value: null, timestamp: 1 }))
    writeFileSync(path, protocol.buildBatch([...records.map((record) => ({ ...record, timestamp: 1 })), ...tombstones]))
  }
  return paths
}
