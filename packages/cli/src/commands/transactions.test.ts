import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type AbortTransactionSpec, type Admin, BrokerError, type ProducerState, type TransactionDescription } from '@tidelog/client'
import { errorTable } from '@tidelog/protocol'
import { runWith } from '../command-harness.ts'
import { transactions } from './transactions.ts'

const at = ['--bootstrap-server', 'b:1']
const producer = (overrides: Partial<ProducerState>): ProducerState => ({
  producerId: 7,
  producerEpoch: 2,
  coordinatorEpoch: -1,
  lastSequence: 9,
  lastTimestamp: 1000,
  currentTxnStartOffset: -1,
  ...overrides,
})
const description: TransactionDescription = {
  transactionalId: 'orders',
  coordinatorId: 1,
  state: 'Ongoing',
  producerId: 7,
  producerEpoch: 2,
  transactionTimeoutMs: 60_000,
  transactionStartTimeMs: undefined,
  partitions: [
    { topic: 'a', partition: 0 },
    { topic: 'b', partition: 1 },
  ],
}
const replicas = (...ids: number[]) => ({
  leaderId: 1,
  leaderEpoch: 0,
  replicas: ids,
  isr: ids,
  offlineReplicas: [],
  eligibleLeaderReplicas: null,
  lastKnownElr: null,
})

test('list, describe and describe-producers print columns as wide as their longest cell, each followed by a TAB', async () => {
  const admin: Partial<Admin> = {
    listTransactions: async (options) => {
      assert.equal(options?.durationMs, 5000)
      return new Map([[1, [{ transactionalId: 'orders', producerId: 7, state: 'Ongoing' }]]])
    },
    describeTransactions: async () => new Map([['orders', description]]),
    describeProducers: async ([place]) => [{ ...place!, activeProducers: [producer({}), producer({ currentTxnStartOffset: 3 })] }],
  }
  const listed = await runWith(transactions, { admin }, ...at, 'list', '--duration-filter', '5000')
  assert.equal(
    listed.stdout,
    'TransactionalId\tCoordinator\tProducerId\tTransactionState\t\norders         \t1          \t7         \tOngoing         \t\n',
  )
  const described = await runWith(transactions, { admin }, ...at, 'describe', '--transactional-id', 'orders')
  assert.deepEqual(
    described.stdout
      .split('\n')[1]!
      .split('\t')
      .map((cell) => cell.trim()),
    ['1', 'orders', '7', '2', 'Ongoing', '60000', 'None', 'None', 'a-0,b-1', ''],
  )
  const producers = await runWith(transactions, { admin }, ...at, 'describe-producers', '--topic', 'a', '--partition', '0')
  assert.deepEqual(
    producers.stdout
      .split('\n')
      .slice(1, -1)
      .map((line) => line.split('\t').map((cell) => cell.trim())),
    [
      ['7', '2', '-1', '9', '1000', 'None', ''],
      ['7', '2', '-1', '9', '1000', '3', ''],
    ],
  )
  const asJson = await runWith(transactions, { admin }, ...at, 'list', '--duration-filter', '5000', '--output', 'json')
  assert.deepEqual(JSON.parse(asJson.stdout), [{ TransactionalId: 'orders', Coordinator: 1, ProducerId: 7, TransactionState: 'Ongoing' }])
})

test('abort finds the producer by the offset that its transaction begins at; a coordinator epoch that there is not counts as 0', async () => {
  const aborted: AbortTransactionSpec[] = []
  const admin: Partial<Admin> = {
    describeProducers: async ([place]) => [{ ...place!, activeProducers: [producer({ currentTxnStartOffset: 3 })] }],
    abortTransaction: async (spec) => {
      aborted.push(spec)
      if (spec.producerId === 8) throw new BrokerError(errorTable.INVALID_PRODUCER_EPOCH.code, 'a-0', 'Too old')
    },
  }
  const abort = (...args: string[]) => runWith(transactions, { admin }, ...at, 'abort', '--topic', 'a', '--partition', '0', ...args)
  assert.equal((await abort('--start-offset', '3')).code, 0)
  assert.deepEqual(aborted, [{ topic: 'a', partition: 0, producerId: 7, producerEpoch: 2, coordinatorEpoch: 0 }])
  assert.equal((await abort('--start-offset', '4')).stderr, 'Could not find any open transactions starting at offset 4 on partition a-0\n')
  const refused = await abort('--producer-id', '8', '--producer-epoch', '1', '--coordinator-epoch', '5')
  assert.equal(refused.code, 1)
  assert.equal(
    refused.stderr,
    'Failed to abort transaction AbortTransactionSpec(topicPartition=a-0, producerId=8, producerEpoch=1, coordinatorEpoch=5): Too old. Enable debug logging for additional detail.\n',
  )
  assert.match((await abort()).stderr, /^The transaction to abort must be identified either with --start-offset/)
  assert.equal((await abort('--producer-id', '8')).stderr, 'Missing required argument --producer-epoch\n')
  assert.equal((await abort('--producer-id', '8', '--producer-epoch', '1')).stderr, 'Missing required argument --coordinator-epoch\n')
})

test('hanging are old transactions whose producer no coordinator knows, or whose partition its open transaction lacks', async () => {
  const open = (producerId: number, lastTimestamp = 1000) => producer({ producerId, lastTimestamp, currentTxnStartOffset: producerId })
  const admin: Partial<Admin> = {
    listTopics: async () => [{ name: 'a', topicId: 'x', isInternal: false }],
    describeTopics: async () =>
      new Map([
        [
          'a',
          {
            name: 'a',
            topicId: 'x',
            isInternal: false,
            partitions: [
              { partition: 0, ...replicas(1) },
              { partition: 1, ...replicas(2) },
            ],
          },
        ],
      ]),
    describeProducers: async (places) => {
      assert.deepEqual(places, [{ topic: 'a', partition: 0 }], 'partition 1 is not on broker 1')
      return [{ topic: 'a', partition: 0, activeProducers: [open(1), open(2), open(3), open(4, Date.now()), producer({ producerId: 5 })] }]
    },
    listTransactions: async (options) => {
      assert.deepEqual(options?.producerIds, [1, 2, 3])
      return new Map([
        [
          1,
          [
            { transactionalId: 'known', producerId: 1, state: 'Ongoing' },
            { transactionalId: 'elsewhere', producerId: 2, state: 'Ongoing' },
          ],
        ],
      ])
    },
    describeTransactions: async ([id]) => new Map([[id!, { ...description, partitions: id === 'known' ? description.partitions : [] }]]),
  }
  const { stdout } = await runWith(transactions, { admin }, ...at, 'find-hanging', '--broker-id', '1')
  const rows = stdout
    .trimEnd()
    .split('\n')
    .map((line) => line.split('\t').map((cell) => cell.trim()))
  assert.deepEqual(rows[0], [
    'Topic',
    'Partition',
    'ProducerId',
    'ProducerEpoch',
    'CoordinatorEpoch',
    'StartOffset',
    'LastTimestamp',
    'Duration(min)',
    '',
  ])
  assert.deepEqual(
    rows.slice(1).map((cells) => cells[2]),
    ['2', '3'],
  )
})

test('mistakes, ids that nobody knows and scopes that are missing are told in the words of the tool', async () => {
  const ended: string[] = []
  const admin: Partial<Admin> = {
    describeTransactions: async () => {
      throw new BrokerError(errorTable.TRANSACTIONAL_ID_NOT_FOUND.code, 'x')
    },
    forceTerminateTransaction: async (id) => void ended.push(id),
  }
  const told = async (...args: string[]) => {
    const { code, stderr } = await runWith(transactions, { admin }, ...args)
    return `${code} ${stderr.trimEnd().split('\n').at(-1)}`
  }
  assert.equal(await told(), '1 kafka-transactions.sh: error: too few arguments')
  assert.match(
    await told(...at, 'nosuch'),
    /error: invalid choice: 'nosuch' \(choose from 'list', 'describe', 'describe-producers', 'abort',/,
  )
  assert.equal(await told(...at, 'describe'), '1 kafka-transactions.sh: error: argument --transactional-id is required')
  assert.equal(await told('list'), '1 kafka-transactions.sh: error: argument --bootstrap-server is required')
  assert.equal(
    await told(...at, 'describe', '--transactional-id', 'x'),
    '1 Failed to describe transaction state of transactional-id `x`: DescribeTransactions request for transactionalId `x` failed because the ID could not be found. Enable debug logging for additional detail.',
  )
  assert.match(await told(...at, 'find-hanging'), /requires either --topic or --broker-id to limit the scope of the search$/)
  assert.match(
    await told(...at, 'find-hanging', '--broker-id', '1', '--partition', '1'),
    /The --partition argument requires --topic to be provided$/,
  )
  assert.equal(await told(...at, 'forceTerminateTransaction', '--transactionalId', 'x'), '0 ')
  assert.deepEqual(ended, ['x'])
})
