import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deletedOffsetsTable, groupList, membersTable, newOffsetsCsv, newOffsetsTable, offsetsTable, stateTable } from './group-text.ts'

// Every expected text below was printed by kafka-consumer-groups of Apache Kafka 4.3.

const free = { group: 'g1', topic: 'cons', partition: 0, leaderEpoch: undefined, currentOffset: 6, logEndOffset: 12 }
const nobody = { consumerId: undefined, host: undefined, clientId: undefined }
const classic = { currentEpoch: undefined, targetEpoch: undefined, targetAssignment: undefined, upgraded: undefined }
const first = 'inst-one-1f31c8a3-9c7b-4cda-a24c-9bfa03d22623'
const second = 'console-consumer-9a8555d5-500b-4ef9-b080-610839820a27'

test('offsets of a group without members', () => {
  assert.equal(
    offsetsTable([{ ...free, ...nobody }], { verbose: false }),
    `
GROUP           TOPIC           PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID     HOST            CLIENT-ID
g1              cons            0          6               12              6               -               -               -
`,
  )
  assert.equal(
    offsetsTable([{ ...free, ...nobody }], { verbose: true }),
    `
GROUP           TOPIC           PARTITION  LEADER-EPOCH    CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID     HOST            CLIENT-ID
g1              cons            0          -               6               12              6               -               -               -
`,
  )
})

test('offsets widen the column of consumer ids to the longest', () => {
  const row = {
    group: 'live',
    topic: 'act1',
    leaderEpoch: undefined,
    currentOffset: 0,
    logEndOffset: 0,
    host: '/127.0.0.1',
    clientId: 'console-consumer',
  }
  assert.equal(
    offsetsTable(
      [
        { ...row, partition: 1, consumerId: first },
        { ...row, partition: 2, consumerId: second },
      ],
      { verbose: false },
    ),
    `
GROUP           TOPIC           PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID                                           HOST            CLIENT-ID
live            act1            1          0               0               0               inst-one-1f31c8a3-9c7b-4cda-a24c-9bfa03d22623         /127.0.0.1      console-consumer
live            act1            2          0               0               0               console-consumer-9a8555d5-500b-4ef9-b080-610839820a27 /127.0.0.1      console-consumer
`,
  )
})

test('members, plain and verbose, with the instance id where one has it', () => {
  const member = { group: 'live', host: '/127.0.0.1', clientId: 'console-consumer', ...classic }
  const rows = [
    {
      ...member,
      consumerId: second,
      groupInstanceId: undefined,
      assignment: new Map([
        ['act2', [1]],
        ['act1', [2]],
      ]),
    },
    {
      ...member,
      consumerId: first,
      groupInstanceId: 'inst-one',
      assignment: new Map([
        ['act1', [1, 0]],
        ['act2', [0]],
      ]),
    },
  ]
  const lines = membersTable(rows, { verbose: false }).split('\n')
  assert.equal(
    lines[1],
    'GROUP           CONSUMER-ID                                           GROUP-INSTANCE-ID HOST            CLIENT-ID        #PARTITIONS     ',
  )
  assert.equal(
    lines[2],
    'live            console-consumer-9a8555d5-500b-4ef9-b080-610839820a27                   /127.0.0.1      console-consumer 2               ',
  )
  const verbose = membersTable(rows, { verbose: true }).split('\n')
  assert.equal(
    verbose[1],
    'GROUP           CONSUMER-ID                                           GROUP-INSTANCE-ID HOST            CLIENT-ID        #PARTITIONS     CURRENT-EPOCH   CURRENT-ASSIGNMENT   TARGET-EPOCH    TARGET-ASSIGNMENT   ',
  )
  assert.equal(
    verbose[3],
    'live            inst-one-1f31c8a3-9c7b-4cda-a24c-9bfa03d22623         inst-one          /127.0.0.1      console-consumer 3               -               act1:0,1;act2:0      -               -                   ',
  )
  assert.equal(membersTable([], { verbose: false }), '\nGROUP           CONSUMER-ID     HOST            CLIENT-ID       #PARTITIONS     \n')
})

test('state, plain and verbose', () => {
  const state = {
    group: 'live',
    coordinator: { host: '127.0.0.1', port: 19292, id: 1 },
    assignmentStrategy: 'range',
    state: 'Stable',
    members: 2,
    groupEpoch: undefined,
    targetAssignmentEpoch: undefined,
  }
  assert.equal(
    stateTable(state, { verbose: false }),
    `
GROUP           COORDINATOR (ID)          ASSIGNMENT-STRATEGY  STATE                #MEMBERS
live            127.0.0.1:19292  (1)      range                Stable               2
`,
  )
  assert.equal(
    stateTable({ ...state, assignmentStrategy: '', state: 'Empty', members: 0 }, { verbose: true }),
    `
GROUP           COORDINATOR (ID)          ASSIGNMENT-STRATEGY  STATE                GROUP-EPOCH     TARGET-ASSIGNMENT-EPOCH   #MEMBERS
live            127.0.0.1:19292  (1)      -                    Empty                -               -                         0
`,
  )
})

test('lists are names, or columns for type and state', () => {
  const rows = [{ group: 'console-consumer-84310', type: 'Classic', state: 'Empty' }]
  assert.equal(groupList(rows, { type: false, state: false }), 'console-consumer-84310\n')
  assert.equal(
    groupList(rows, { type: false, state: true }),
    'GROUP                            STATE               \nconsole-consumer-84310           Empty               \n',
  )
  assert.equal(
    groupList(rows, { type: true, state: true }),
    'GROUP                            TYPE                 STATE               \nconsole-consumer-84310           Classic              Empty               \n',
  )
  assert.equal(groupList([], { type: false, state: true }), 'GROUP                     STATE               \n')
})

test('new offsets as a table and as the lines that --from-file reads', () => {
  const rows = [{ group: 'g1', topic: 'cons', partition: 0, offset: 12 }]
  assert.equal(
    newOffsetsTable(rows),
    '\nGROUP           TOPIC           PARTITION  NEW-OFFSET\ng1              cons            0          12\n',
  )
  assert.equal(newOffsetsCsv(rows, { withGroup: false }), 'cons,0,12\n')
  assert.equal(newOffsetsCsv(rows, { withGroup: true }), 'g1,cons,0,12\n')
})

test('the fate of deleted offsets', () => {
  assert.equal(
    deletedOffsetsTable([{ topic: 'foo', partition: 0, status: 'Successful' }]),
    '\nTOPIC           PARTITION  STATUS         \nfoo             0          Successful     \n',
  )
})

test('groups of the consumer protocol have epochs and a target; members that are still to be upgraded have a column of their own', () => {
  const member = { group: 'gmix', host: '/127.0.0.1', groupInstanceId: undefined, currentEpoch: 3, targetEpoch: 3 }
  const t1 = (...partitions: number[]) => new Map([['t1', partitions]])
  const old = {
    clientId: 'console-consumer',
    consumerId: 'kGw3YA9YTsCS9BO_VSDnsg',
    assignment: t1(2),
    targetAssignment: t1(2),
    upgraded: false,
  }
  const upgraded = {
    clientId: 'cc',
    consumerId: 'qjGn-PQFSyqitbeoXlFaRw',
    assignment: t1(0, 1),
    targetAssignment: t1(0, 1),
    upgraded: true,
  }
  const rows = [
    { ...member, ...old },
    { ...member, ...upgraded },
  ]
  assert.equal(
    membersTable(rows, { verbose: true }),
    `
GROUP           CONSUMER-ID            HOST            CLIENT-ID        #PARTITIONS     CURRENT-EPOCH   CURRENT-ASSIGNMENT   TARGET-EPOCH    TARGET-ASSIGNMENT    UPGRADED
gmix            kGw3YA9YTsCS9BO_VSDnsg /127.0.0.1      console-consumer 1               3               t1:2                 3               t1:2                 false
gmix            qjGn-PQFSyqitbeoXlFaRw /127.0.0.1      cc               2               3               t1:0,1               3               t1:0,1               true
`,
  )
  assert.equal(
    membersTable(
      [{ ...member, ...upgraded, group: 'g848', currentEpoch: 2, targetEpoch: 2, assignment: t1(0, 1, 2), targetAssignment: t1(0, 1, 2) }],
      {
        verbose: true,
      },
    ),
    `
GROUP           CONSUMER-ID            HOST            CLIENT-ID       #PARTITIONS     CURRENT-EPOCH   CURRENT-ASSIGNMENT   TARGET-EPOCH    TARGET-ASSIGNMENT   ` +
      `
g848            qjGn-PQFSyqitbeoXlFaRw /127.0.0.1      cc              3               2               t1:0,1,2             2               t1:0,1,2            ` +
      '\n',
  )
  const state = { group: 'g848', coordinator: { host: '127.0.0.1', port: 19392, id: 1 }, assignmentStrategy: 'uniform', state: 'Stable' }
  assert.equal(
    stateTable({ ...state, members: 1, groupEpoch: 2, targetAssignmentEpoch: 2 }, { verbose: true }),
    `
GROUP           COORDINATOR (ID)          ASSIGNMENT-STRATEGY  STATE                GROUP-EPOCH     TARGET-ASSIGNMENT-EPOCH   #MEMBERS
g848            127.0.0.1:19392  (1)      uniform              Stable               2               2                         1
`,
  )
})
