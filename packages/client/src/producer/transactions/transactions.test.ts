import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { freePort, readCommittedValues, startTestBroker, TcpProxy, until } from '@tidelog/testkit'
import { Admin } from '../../admin/admin.ts'
import { Consumer } from '../../consumer/consumer.ts'
import { hasCode, ProducerFencedError, TransactionAbortableError } from '../../errors.ts'
import { string } from '../../serde/serde.ts'
import { Producer } from '../producer.ts'
import type { ProducerOptions } from '../producer-options.ts'
import type { Transaction } from './transaction.ts'

interface Cluster {
  readonly bootstrapServers: string
  readonly admin: Admin
  /** Closes the broker and starts another on its directory and port. */
  restart(): Promise<void>
}

interface ClusterOptions {
  readonly version?: 1 | 2
  readonly partitions?: number
  readonly config?: Record<string, string>
}

/** A broker with a topic `a`. */
async function clusterOf(t: TestContext, { version = 2, partitions = 1, config = {} }: ClusterOptions = {}): Promise<Cluster> {
  const dir = await mkdtemp(join(tmpdir(), 'tidelog-transactions-'))
  const start = (port: number) => startTestBroker({ config: { listeners: `PLAINTEXT://127.0.0.1:${port}`, ...config, 'log.dirs': dir } })
  let broker = await start(0)
  const { bootstrapServers, port } = broker
  const admin = new Admin({ bootstrapServers, retryBackoffMs: 5, reconnectBackoffMs: 5 })
  t.after(async () => {
    await admin.close()
    await broker.close()
    await rm(dir, { recursive: true, force: true })
  })
  await admin.createTopics([{ topic: 'a', numPartitions: partitions }])
  if (version === 1) {
    await admin.updateFeatures([{ feature: 'transaction.version', maxVersionLevel: 1, upgradeType: 'safe-downgrade' }])
  }
  return {
    bootstrapServers,
    admin,
    async restart() {
      await broker.close()
      broker = await start(port)
    },
  }
}

function producerOf(t: TestContext, bootstrapServers: string, options: ProducerOptions<string, string> = {}): Producer<string, string> {
  const producer = new Producer({
    bootstrapServers,
    transactionalId: 'cashier',
    retryBackoffMs: 5,
    reconnectBackoffMs: 5,
    keySerializer: string,
    valueSerializer: string,
    ...options,
  })
  t.after(() => producer.close({ timeoutMs: 1000 }))
  return producer
}

/** For assert.rejects: the transaction can only be aborted, and why. */
const becauseOf = (code: string) => (error: unknown) => error instanceof TransactionAbortableError && hasCode(error.cause, code)

const epochOf = async ({ admin }: Cluster): Promise<number> => (await admin.describeTransactions(['cashier'])).get('cashier')!.producerEpoch

for (const version of [2, 1] as const) {
  test(`version ${version}: a transaction is read as a whole when it is committed, and never when it is aborted`, async (t) => {
    const cluster = await clusterOf(t, { version, partitions: 3 })
    const producer = producerOf(t, cluster.bootstrapServers)
    for (let round = 0; round < 5; round++) {
      const result = await producer.transaction((txn) => {
        for (let i = 0; i < 6; i++) txn.send({ topic: 'a', partition: i % 3, value: `${round}-${i}` })
        return round
      })
      assert.equal(result, round)
      const changed = producer.transaction(async (txn) => {
        await txn.send({ topic: 'a', partition: 0, value: `aborted ${round}` })
        throw new Error('changed my mind')
      })
      await assert.rejects(changed, /changed my mind/)
    }
    assert.deepEqual(
      await readCommittedValues(cluster.bootstrapServers, 'a'),
      [0, 1, 2].map((p) => [0, 1, 2, 3, 4].flatMap((round) => [`${round}-${p}`, `${round}-${p + 3}`])),
    )
    // KIP-890: every transaction has an epoch of its own.
    assert.equal(await epochOf(cluster), version === 2 ? 10 : 0)
  })

  test(`version ${version}: a record that fails makes the commit fail, nothing of its transaction is read, and the next one works`, async (t) => {
    const cluster = await clusterOf(t, { version })
    await cluster.admin.createTopics([{ topic: 'small', numPartitions: 1, configs: { 'max.message.bytes': '500' } }])
    const producer = producerOf(t, cluster.bootstrapServers, { batchSize: 1 })
    const large = { topic: 'small', value: 'x'.repeat(1000) }
    const failing = producer.transaction(async (txn) => {
      txn.send({ topic: 'a', value: 'lost' })
      txn.send({ topic: 'small', value: 'lost' })
      txn.send(large)
      txn.enqueue({ topic: 'small', value: 'lost' })
    })
    await assert.rejects(failing, { name: 'TransactionAbortableError', abortable: true, message: /exceeds the maximum/ })
    producer.beginTransaction()
    await producer.send({ topic: 'small', value: 'lost too' })
    await assert.rejects(producer.send(large), { code: 'MESSAGE_TOO_LARGE' })
    await assert.rejects(producer.send({ topic: 'a', value: 'no use' }), { code: 'TRANSACTION_ABORTABLE' })
    assert.throws(() => producer.enqueue({ topic: 'a', value: 'no use' }), { code: 'TRANSACTION_ABORTABLE' })
    await assert.rejects(producer.commitTransaction(), becauseOf('MESSAGE_TOO_LARGE'))
    await producer.abortTransaction()
    for (const value of ['1', '2', '3']) await producer.transaction((txn) => void txn.send({ topic: 'small', value }))
    assert.deepEqual(await readCommittedValues(cluster.bootstrapServers, 'small'), [['1', '2', '3']])
    assert.deepEqual(await readCommittedValues(cluster.bootstrapServers, 'a'), [[]])
  })

  test(`T9: offsets count when the transaction is committed; those of a member that the group has gone on without abort it (version ${version})`, async (t) => {
    const cluster = await clusterOf(t, { version })
    const { bootstrapServers } = cluster
    const producer = producerOf(t, bootstrapServers)
    // committed() waits for the markers, which come behind the answer to the commit.
    const isolationLevel = 'read_committed'
    const consumer = new Consumer({ bootstrapServers, groupId: 'g', autoOffsetReset: 'earliest', enableAutoCommit: false, isolationLevel })
    t.after(() => consumer.close())
    consumer.subscribe(['a'])
    await until(async () => {
      await consumer.poll({ timeoutMs: 10 })
      return consumer.assignment().length > 0
    })
    const at = (offset: number) => [{ topic: 'a', partition: 0, offset, metadata: 'm' }]
    const stored = async () => (await consumer.committed([{ topic: 'a', partition: 0 }])).get({ topic: 'a', partition: 0 })?.offset
    await producer.transaction((txn) => txn.sendOffsets(at(3), consumer.groupMetadata()))
    assert.equal(await stored(), 3)
    await producer.initTransactions().catch((error) => assert.equal(error.code, 'ILLEGAL_STATE'))
    producer.beginTransaction()
    await producer.sendOffsetsToTransaction(at(5), consumer.groupMetadata())
    await producer.abortTransaction()
    assert.equal(await stored(), 3)
    const stale = { ...consumer.groupMetadata(), generationId: 0 }
    await assert.rejects(
      producer.transaction(async (txn) => {
        txn.sendOffsets(at(7), stale)
        await txn.send({ topic: 'a', value: 'not read' }).catch(() => {})
      }),
      becauseOf('ILLEGAL_GENERATION'),
    )
    await producer.transaction(async (txn) => {
      txn.send({ topic: 'a', value: 'read' })
      txn.sendOffsets(at(9), consumer.groupMetadata())
    })
    assert.equal(await stored(), 9)
    assert.deepEqual(await readCommittedValues(bootstrapServers, 'a'), [['read']])
  })

  test(`T9, G2: offsets of a member that has lost its place while it worked on the records are refused (version ${version})`, async (t) => {
    const cluster = await clusterOf(t, { version })
    const { bootstrapServers } = cluster
    const producer = producerOf(t, bootstrapServers)
    const consumer = new Consumer({
      bootstrapServers,
      groupId: 'g',
      autoOffsetReset: 'earliest',
      heartbeatIntervalMs: 10,
      maxPollIntervalMs: 50,
    })
    t.after(() => consumer.close())
    await producer.transaction((txn) => void txn.send({ topic: 'a', value: 'v' }))
    consumer.subscribe(['a'])
    for await (const batch of consumer.batches()) {
      const { generationId, memberId } = consumer.groupMetadata()
      await until(async () => (await cluster.admin.describeConsumerGroups(['g'])).get('g')!.members.length === 0)
      assert.deepEqual({ ...consumer.groupMetadata() }, { groupId: 'g', generationId, memberId, groupInstanceId: null })
      await assert.rejects(
        producer.transaction((txn) => txn.sendOffsets(batch.offsets(), consumer.groupMetadata())),
        becauseOf('UNKNOWN_MEMBER_ID'),
      )
      break
    }
  })

  test(`T3: a second producer of the id fences the first one for good (version ${version})`, async (t) => {
    const cluster = await clusterOf(t, { version })
    const first = producerOf(t, cluster.bootstrapServers)
    await first.initTransactions()
    first.beginTransaction()
    await first.send({ topic: 'a', value: 'of the first' })
    const second = producerOf(t, cluster.bootstrapServers)
    await second.transaction((txn) => void txn.send({ topic: 'a', value: 'of the second' }))
    await assert.rejects(first.commitTransaction(), (error) => error instanceof ProducerFencedError && error.fatal)
    await assert.rejects(first.abortTransaction(), ProducerFencedError)
    await assert.rejects(first.send({ topic: 'a', value: 'late' }), ProducerFencedError)
    assert.throws(() => first.beginTransaction(), ProducerFencedError)
    await second.transaction((txn) => void txn.send({ topic: 'a', value: 'again' }))
    assert.deepEqual(await readCommittedValues(cluster.bootstrapServers, 'a'), [['of the second', 'again']])
  })

  const afterwards = version === 2 ? 'its producer goes on behind an abort' : 'its producer is fenced'
  test(`T2: a transaction that is open for too long is aborted, and ${afterwards} (version ${version})`, async (t) => {
    const cluster = await clusterOf(t, { version, config: { 'transaction.abort.timed.out.transaction.cleanup.interval.ms': '10' } })
    const producer = producerOf(t, cluster.bootstrapServers, { transactionTimeoutMs: 50 })
    await assert.rejects(
      producer.transaction(async (txn) => {
        await txn.send({ topic: 'a', value: 'too late' })
        await until(async () => /Abort/.test((await cluster.admin.describeTransactions(['cashier'])).get('cashier')!.state))
      }),
      version === 2 ? becauseOf('INVALID_TXN_STATE') : { code: 'PRODUCER_FENCED', fatal: true },
    )
    if (version === 2) {
      const offsets = producer.transaction(async (txn) => {
        await txn.send({ topic: 'a', value: 'too late' })
        await until(async () => /Abort/.test((await cluster.admin.describeTransactions(['cashier'])).get('cashier')!.state))
        await txn.sendOffsets([{ topic: 'a', partition: 0, offset: 1 }], { groupId: 'g' })
      })
      await assert.rejects(offsets, becauseOf('INVALID_PRODUCER_EPOCH'))
    }
    const next = version === 2 ? producer : producerOf(t, cluster.bootstrapServers)
    await next.transaction((txn) => void txn.send({ topic: 'a', value: 'in time' }))
    assert.deepEqual(await readCommittedValues(cluster.bootstrapServers, 'a'), [['in time']])
  })

  test(`T3: who is fenced hears of it from the transaction that it is in, by records or by offsets (version ${version})`, async (t) => {
    const cluster = await clusterOf(t, { version })
    const group = { groupId: 'g' }
    for (const add of [
      (producer: Producer<string, string>) => producer.send({ topic: 'a', value: 'late' }),
      (producer: Producer<string, string>) => producer.sendOffsetsToTransaction([{ topic: 'a', partition: 0, offset: 1 }], group),
    ]) {
      const first = producerOf(t, cluster.bootstrapServers)
      await first.initTransactions()
      await assert.rejects(
        first.transaction(async () => {
          await producerOf(t, cluster.bootstrapServers).initTransactions()
          await add(first)
        }),
        ProducerFencedError,
      )
      assert.throws(() => first.beginTransaction(), ProducerFencedError)
    }
  })

  test(`T1: a broker that goes away in any phase of a transaction loses nothing, doubles nothing and shows no part of one (version ${version})`, async (t) => {
    const cluster = await clusterOf(t, { version, partitions: 2 })
    const producer = producerOf(t, cluster.bootstrapServers)
    await producer.initTransactions()
    const expected: [string[], string[]] = [[], []]
    const inPhase = async (phase: string, at: 'begun' | 'sent' | 'delivered' | 'ending', isCommitted: boolean) => {
      const values = [0, 1, 2, 3].map((i) => `${phase} ${i}`)
      producer.beginTransaction()
      if (at === 'begun') await cluster.restart()
      const sent = Promise.all(values.map((value, i) => producer.send({ topic: 'a', partition: i % 2, value })))
      sent.catch(() => {})
      if (at === 'sent') await cluster.restart()
      await sent
      if (at === 'delivered') await cluster.restart()
      const ended = isCommitted ? producer.commitTransaction() : producer.abortTransaction()
      if (at === 'ending') await cluster.restart()
      await ended
      if (isCommitted) for (const [i, value] of values.entries()) expected[(i % 2) as 0 | 1].push(value)
    }
    for (const at of ['begun', 'sent', 'delivered', 'ending'] as const) {
      await inPhase(`commit ${at}`, at, true)
      await inPhase(`abort ${at}`, at, false)
    }
    assert.deepEqual(await readCommittedValues(cluster.bootstrapServers, 'a'), expected)
  })
}

for (const version of [2, 1] as const) {
  test(`an id that its coordinator has forgotten costs a transaction, and not the producer (version ${version})`, async (t) => {
    const config = { 'transactional.id.expiration.ms': '100', 'transaction.remove.expired.transaction.cleanup.interval.ms': '10' }
    const cluster = await clusterOf(t, { version, config })
    const producer = producerOf(t, cluster.bootstrapServers)
    let failures = 0
    const transaction = async (work: Parameters<typeof producer.transaction>[0]): Promise<void> => {
      try {
        await producer.transaction(work)
      } catch (error) {
        assert.ok(becauseOf('INVALID_PRODUCER_ID_MAPPING')(error), String(error))
        failures++
        // On a slow machine it is forgotten again meanwhile.
        await transaction(work)
      }
    }
    await transaction((txn) => void txn.send({ topic: 'a', value: '0' }))
    for (const work of [
      (txn: Transaction<string, string>) => void txn.send({ topic: 'a', value: '1' }),
      (txn: Transaction<string, string>) => void txn.sendOffsets([{ topic: 'a', partition: 0, offset: 1 }], { groupId: 'g' }),
    ]) {
      const before = failures
      await until(async () => [...(await cluster.admin.listTransactions()).values()].flat().length === 0)
      await transaction(work)
      assert.ok(failures > before)
    }
    assert.deepEqual(await readCommittedValues(cluster.bootstrapServers, 'a'), [['0', '1']])
    const offsets = await cluster.admin.listConsumerGroupOffsets('g', { requireStable: true })
    assert.equal(offsets.get({ topic: 'a', partition: 0 })?.offset, 1)
  })
}

test('calls that do not fit the state of the producer are errors, and leave it as it is', async (t) => {
  const cluster = await clusterOf(t)
  const producer = producerOf(t, cluster.bootstrapServers)
  const illegal = { code: 'ILLEGAL_STATE' }
  assert.throws(() => producer.beginTransaction(), illegal)
  await assert.rejects(producer.send({ topic: 'a', value: 'v' }), illegal)
  assert.throws(() => producer.enqueue({ topic: 'a', value: 'v' }), illegal)
  await assert.rejects(producer.commitTransaction(), illegal)
  await producer.initTransactions()
  await assert.rejects(producer.initTransactions(), illegal)
  await assert.rejects(producer.send({ topic: 'a', value: 'v' }), illegal)
  await assert.rejects(producer.abortTransaction(), illegal)
  let ended: Parameters<Parameters<typeof producer.transaction>[0]>[0] | undefined
  await producer.transaction(async (txn) => {
    ended = txn
    assert.throws(() => producer.beginTransaction(), illegal)
    await assert.rejects(
      producer.transaction(() => {}),
      illegal,
    )
    txn.send({ topic: 'a', value: 'v' })
  })
  assert.throws(() => ended!.send({ topic: 'a', value: 'late' }), illegal)
  assert.deepEqual(await readCommittedValues(cluster.bootstrapServers, 'a'), [['v']])

  const plain = producerOf(t, cluster.bootstrapServers, { transactionalId: undefined })
  await assert.rejects(
    plain.transaction(() => {}),
    /transactionalId is missing/,
  )
  const bad = (options: object) => () => new Producer({ bootstrapServers: 'a:1', transactionalId: 't', ...options })
  assert.throws(bad({ acks: '1' }), /transactionalId does not go together with these: acks is not all/)
  assert.throws(bad({ enableIdempotence: false }), /enableIdempotence is false/)
  assert.throws(bad({ transactionalId: '' }), /transactionalId/)
  assert.throws(bad({ transactionTwoPhaseCommitEnable: true }), /KIP-939/)
})

test('a timeout that the broker does not allow is fatal', async (t) => {
  const cluster = await clusterOf(t)
  const producer = producerOf(t, cluster.bootstrapServers, { transactionTimeoutMs: 10_000_000 })
  await assert.rejects(producer.initTransactions(), { code: 'INVALID_TRANSACTION_TIMEOUT' })
  await assert.rejects(producer.initTransactions(), { code: 'INVALID_TRANSACTION_TIMEOUT' })
})

test('close() aborts an open transaction, so that readers of committed records go on', async (t) => {
  const cluster = await clusterOf(t)
  const producer = producerOf(t, cluster.bootstrapServers)
  await producer.initTransactions()
  producer.beginTransaction()
  await producer.send({ topic: 'a', value: 'unfinished' })
  await producer.close()
  assert.match((await cluster.admin.describeTransactions(['cashier'])).get('cashier')!.state, /Abort/)
  assert.deepEqual(await readCommittedValues(cluster.bootstrapServers, 'a'), [[]])
})

test('a commit whose answer is lost, or not waited for, is found out by calling again, and was made once', async (t) => {
  const proxy = await TcpProxy.start(t)
  const port = await freePort()
  proxy.target = { host: '127.0.0.1', port }
  const cluster = await clusterOf(t, {
    config: { listeners: `PLAINTEXT://127.0.0.1:${port}`, 'advertised.listeners': `PLAINTEXT://127.0.0.1:${proxy.port}` },
  })
  t.after(() => proxy.breakAll())
  const bootstrapServers = `127.0.0.1:${proxy.port}`
  // What takes long the first time has been done when time is short.
  await producerOf(t, bootstrapServers).transaction((txn) => void txn.send({ topic: 'a', value: 'before' }))
  const ends: unknown[] = []
  const heard = (message: unknown) => void ends.push(message)
  subscribe('tidelog:producer:transaction', heard)
  t.after(() => unsubscribe('tidelog:producer:transaction', heard))
  const producer = producerOf(t, bootstrapServers, { maxBlockMs: 1500 })
  await producer.initTransactions()
  for (const how of ['timed out', 'cancelled'] as const) {
    producer.beginTransaction()
    await producer.send({ topic: 'a', value: how })
    proxy.holdAnswers()
    if (how === 'timed out') await assert.rejects(producer.commitTransaction(), { code: 'TIMEOUT', retriable: true })
    else await assert.rejects(producer.commitTransaction({ signal: AbortSignal.timeout(100) }), { name: 'TimeoutError' })
    await assert.rejects(producer.abortTransaction(), /may be committed already/)
    assert.throws(() => producer.beginTransaction(), { code: 'ILLEGAL_STATE' })
    proxy.stopHolding()
    proxy.breakAll()
    // transaction() goes on with the commit before it begins its own.
    await (how === 'timed out' ? producer.commitTransaction() : producer.transaction(() => {}))
  }
  assert.deepEqual(await readCommittedValues(cluster.bootstrapServers, 'a'), [['before', 'timed out', 'cancelled']])
  assert.deepEqual(ends, Array(3).fill({ transactionalId: 'cashier', committed: true }))
  const metric = (name: string) => producer.metrics().find((one) => one.name === name)!.value
  for (const call of ['init', 'commit']) assert.ok(metric(`txn-${call}-time-ns-total`) > 0, call)

  // Offsets that were cancelled may have arrived, and may not: the transaction cannot be committed.
  producer.beginTransaction()
  proxy.holdAnswers()
  const offsets = producer.sendOffsetsToTransaction(
    [{ topic: 'a', partition: 0, offset: 1 }],
    { groupId: 'g' },
    { signal: AbortSignal.timeout(50) },
  )
  await assert.rejects(offsets, { name: 'TimeoutError' })
  await assert.rejects(producer.commitTransaction(), becauseOf('CANCELLED'))
  proxy.stopHolding()
  proxy.breakAll()
  await producer.abortTransaction()
})

test('close() ends in time when the broker has gone amid a transaction, and what waits fails', async (t) => {
  const broker = await startTestBroker()
  const producer = producerOf(t, broker.bootstrapServers)
  await producer.initTransactions()
  producer.beginTransaction()
  await producer.send({ topic: 'a', value: 'v' })
  await broker.close()
  const waiting = producer.send({ topic: 'a', value: 'w' })
  const failed = assert.rejects(waiting, (error) => hasCode(error, 'TRANSACTION_ABORTED', 'CLOSED'))
  await producer.close({ timeoutMs: 100 })
  await failed
  assert.throws(() => producer.beginTransaction(), { code: 'CLOSED' })
})
