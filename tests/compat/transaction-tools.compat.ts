import assert from 'node:assert/strict'
import test from 'node:test'
import { brokersInTurn, startBrokerProcess } from './harness.ts'
import { JavaShell } from './java-shell.ts'

const rows = (text: string): string[][] =>
  text
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/))

test('kafka-transactions, kafka-groups and kafka-features 4.3: a transaction is listed, described, found hanging, aborted; features are shown', async (t) => {
  const broker = await startBrokerProcess(t, {
    'transaction.state.log.num.partitions': '2',
    'offsets.topic.num.partitions': '2',
    'transaction.max.timeout.ms': '900000',
  })
  const shell = await JavaShell.start(t, broker.bootstrap)
  await shell.call('topics', ['--create', '--topic', 'payments', '--partitions', '2'])
  await shell.call('leaveOpen', ['payments', 'left-open', 'buyers'])

  const [, listed] = rows(await shell.call('transactions', ['list']))
  assert.deepEqual([listed?.[0], listed?.[1], listed?.[3]], ['left-open', '1', 'Ongoing'])
  const producerId = listed![2]!
  assert.equal(rows(await shell.call('transactions', ['list', '--duration-filter', '60000'])).length, 1)
  assert.equal(rows(await shell.call('transactions', ['list', '--transactional-id-pattern', 'left-.*'])).length, 2)
  const [names, described] = rows(await shell.call('transactions', ['describe', '--transactional-id', 'left-open']))
  const column = (name: string) => described![names!.indexOf(name)]
  assert.deepEqual([column('ProducerId'), column('TransactionState'), column('TransactionTimeoutMs')], [producerId, 'Ongoing', '600000'])
  assert.match(described!.join(' '), /__consumer_offsets-\d.*payments-0|payments-0.*__consumer_offsets-\d/)
  const [, producer] = rows(await shell.call('transactions', ['describe-producers', '--topic', 'payments', '--partition', '0']))
  assert.equal(producer![0], producerId)
  const startOffset = producer!.at(-1)!
  assert.equal(startOffset, '0')
  assert.equal(rows(await shell.call('transactions', ['find-hanging', '--broker-id', '1', '--max-transaction-timeout', '0'])).length, 1)

  const readers = ['--topic', 'payments', '--from-beginning', '--isolation-level', 'read_committed', '--timeout-ms', '3000']
  assert.equal((await shell.run('consoleConsumer', readers)).stdout, '')
  await shell.call('transactions', ['abort', '--topic', 'payments', '--partition', '0', '--start-offset', startOffset])
  const [, aborted] = rows(await shell.call('transactions', ['describe-producers', '--topic', 'payments', '--partition', '0']))
  assert.equal(aborted!.at(-1), 'None')
  await shell.call('transactions', ['forceTerminateTransaction', '--transactionalId', 'left-open'])
  const [, ended] = rows(await shell.call('transactions', ['list']))
  assert.equal(ended![3], 'Empty')

  await shell.call('produce', ['payments', '1', '5'])
  assert.equal((await shell.run('consoleConsumer', readers)).stdout, '0\n1\n2\n3\n4\n')
  const reset = ['--reset-offsets', '--group', 'buyers', '--topic', 'payments', '--to-earliest', '--execute']
  await shell.call('consumerGroups', reset)
  assert.match(await shell.call('groups', ['--list']), /buyers +Classic/)
  assert.match(await shell.call('groups', ['--list', '--group-type', 'classic']), /buyers/)
  assert.doesNotMatch(await shell.call('groups', ['--list', '--group-type', 'consumer']), /buyers/)
  const features = await shell.call('features', ['describe'])
  assert.match(
    features,
    /Feature: group\.version\s+SupportedMinVersion: 0\s+SupportedMaxVersion: 1\s+FinalizedVersionLevel: 1\s+Epoch: \d+/,
  )
  assert.match(
    features,
    /Feature: transaction\.version\s+SupportedMinVersion: 0\s+SupportedMaxVersion: 2\s+FinalizedVersionLevel: 2\s+Epoch: \d+/,
  )
})

test('a transaction that Kafka 4.3 left open is known here once its directory is, holds readers back, and can be ended', async (t) => {
  const { start } = brokersInTurn(t)
  const settings = { 'transaction.state.log.num.partitions': '2', 'offsets.topic.num.partitions': '2' }
  const kafka = await start('kafka-4.3', settings)
  const before = await JavaShell.start(t, kafka.bootstrap)
  await before.call('topics', ['--create', '--topic', 'payments', '--partitions', '2'])
  await before.call('leaveOpen', ['payments', 'left-open', 'buyers'])
  const [, listed] = rows(await before.call('transactions', ['list']))
  await kafka.kill()

  const tidelog = await start('tidelog', settings)
  const shell = await JavaShell.start(t, tidelog.bootstrap)
  assert.deepEqual(rows(await shell.call('transactions', ['list']))[1], listed)
  assert.equal(listed![3], 'Ongoing')
  await shell.call('produce', ['payments', '1', '3'])
  const readers = ['--topic', 'payments', '--from-beginning', '--isolation-level', 'read_committed', '--timeout-ms', '3000']
  assert.equal((await shell.run('consoleConsumer', readers)).stdout, '')
  await shell.call('transactions', ['forceTerminateTransaction', '--transactionalId', 'left-open'])
  assert.equal((await shell.run('consoleConsumer', readers)).stdout, '0\n1\n2\n')
})
