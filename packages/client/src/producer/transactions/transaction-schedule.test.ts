import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type Random, seededRandom } from '@tidelog/core'
import { freePort, readCommittedValues, startTestBroker, TcpProxy } from '@tidelog/testkit'
import { Admin } from '../../admin/admin.ts'
import { hasCode } from '../../errors.ts'
import { string } from '../../serde/serde.ts'
import type { WaitOptions } from '../../wait.ts'
import { Producer } from '../producer.ts'

const TRANSACTIONS = 20
const PARTITIONS = 3

/** A broker behind a proxy that it advertises as its own address. */
async function proxiedBroker(t: TestContext, version: 1 | 2) {
  const proxy = await TcpProxy.start(t)
  const port = await freePort()
  proxy.target = { host: '127.0.0.1', port }
  const broker = await startTestBroker({
    config: {
      listeners: `PLAINTEXT://127.0.0.1:${port}`,
      'advertised.listeners': `PLAINTEXT://127.0.0.1:${proxy.port}`,
    },
  })
  t.after(async () => {
    proxy.breakAll()
    await broker.close()
  })
  const bootstrapServers = `127.0.0.1:${proxy.port}`
  const admin = new Admin({ bootstrapServers })
  t.after(() => admin.close())
  for (const topic of ['a', 'b']) await admin.createTopics([{ topic, numPartitions: PARTITIONS }])
  if (version === 1) {
    await admin.updateFeatures([{ feature: 'transaction.version', maxVersionLevel: 1, upgradeType: 'safe-downgrade' }])
  }
  return { proxy, bootstrapServers, admin }
}

/** Breaks connections, and loses answers, now and then. @returns what stops it */
function troubles(proxy: TcpProxy, random: Random): () => void {
  let timer: NodeJS.Timeout | undefined
  const next = (): void => {
    timer = setTimeout(() => {
      if (random.int(2) === 0) {
        proxy.holdAnswers()
        timer = setTimeout(() => {
          proxy.breakAll()
          proxy.stopHolding()
          next()
        }, random.int(15))
      } else {
        proxy.breakAll()
        next()
      }
    }, random.int(60))
  }
  next()
  return () => {
    clearTimeout(timer)
    proxy.stopHolding()
    proxy.breakAll()
  }
}

for (const version of [2, 1] as const) {
  test(`T1: whatever happens to connections and answers, what was committed is there once and in order, and nothing else (version ${version})`, async (t) => {
    const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32))
    t.diagnostic(`SEED=${seed}`)
    const random = seededRandom(seed)
    const { proxy, bootstrapServers, admin } = await proxiedBroker(t, version)
    // What takes long the first time is done before requests have little time.
    const first = new Producer({ bootstrapServers, transactionalId: 'cashier' })
    await first.initTransactions()
    await first.close()
    const producer = new Producer({
      bootstrapServers,
      transactionalId: 'cashier',
      valueSerializer: string,
      batchSize: 300,
      retryBackoffMs: 5,
      reconnectBackoffMs: 2,
      reconnectBackoffMaxMs: 10,
      requestTimeoutMs: 500,
      maxBlockMs: 5000,
    })
    t.after(() => producer.close({ timeoutMs: 1000 }))
    await producer.initTransactions()
    const expected = new Map(['a', 'b'].map((topic) => [topic, Array.from({ length: PARTITIONS }, (): string[] => [])]))
    let expectedOffset: number | undefined
    const stop = troubles(proxy, random)
    let sent = 0

    /** Now and then a call is given up, at whatever it is. */
    const giveUp = (): WaitOptions => (random.int(3) === 0 ? { signal: AbortSignal.timeout(random.int(30)) } : {})
    /** The same call until it is known how it ended. */
    const ended = async (end: (options: WaitOptions) => Promise<void>): Promise<void> => {
      for (;;) {
        const options = giveUp()
        try {
          return await end(options)
        } catch (error) {
          if (!hasCode(error, 'TIMEOUT') && error !== options.signal?.reason) throw error
        }
      }
    }
    const one = async (number: number): Promise<void> => {
      producer.beginTransaction()
      const records = Array.from({ length: random.int(12) }, () => ({
        topic: random.int(4) === 0 ? 'b' : 'a',
        partition: random.int(PARTITIONS),
        value: `${number}-${sent++}`,
      }))
      const offset = random.int(3) === 0 ? number : undefined
      const deliveries: Promise<unknown>[] = []
      for (const record of records) {
        if (random.int(2) === 0) producer.enqueue(record)
        else deliveries.push(producer.send(record))
        if (random.int(4) === 0) await new Promise((resolve) => setTimeout(resolve, random.int(5)))
      }
      if (offset !== undefined) {
        deliveries.push(producer.sendOffsetsToTransaction([{ topic: 'a', partition: 0, offset }], { groupId: 'g' }, giveUp()))
      }
      const settled = Promise.allSettled(deliveries)
      if (random.int(3) > 0) await settled
      if (random.int(4) === 0) {
        await ended((options) => producer.abortTransaction(options))
        return
      }
      try {
        await ended((options) => producer.commitTransaction(options))
      } catch (error) {
        if (!hasCode(error, 'TRANSACTION_ABORTABLE')) throw error
        await ended((options) => producer.abortTransaction(options))
        return
      }
      for (const { topic, partition, value } of records) expected.get(topic)![partition]!.push(value)
      if (offset !== undefined) expectedOffset = offset
    }
    for (let number = 0; number < TRANSACTIONS; number++) await one(number)
    stop()
    for (const [topic, values] of expected) assert.deepEqual(await readCommittedValues(bootstrapServers, topic), values, topic)
    const offsets = await admin.listConsumerGroupOffsets('g', { requireStable: true })
    assert.equal(offsets.get({ topic: 'a', partition: 0 })?.offset, expectedOffset)
    const committed = [...expected.values()].flat(2).length
    assert.ok(committed > 0 && proxy.accepted > 5, `${committed} of ${sent} records committed over ${proxy.accepted} connections`)
    t.diagnostic(`${committed} of ${sent} records committed over ${proxy.accepted} connections`)
  })
}
