import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Random, seededRandom } from '@tidelog/core'
import { freePort, readCommittedValues, startTestBroker, TcpProxy } from '@tidelog/testkit'
import { Admin } from '../admin/admin.ts'
import { string } from '../serde/serde.ts'
import { Producer } from './producer.ts'

const PARTITIONS = 2
const RECORDS = 400

/** Breaks connections, loses answers and is away for a while, now and then, by turns long enough for records to time out. @returns what stops it */
function troubles(proxy: TcpProxy, random: Random): () => void {
  const { target } = proxy
  let timer: NodeJS.Timeout | undefined
  const next = (): void => {
    timer = setTimeout(() => {
      const isSilent = random.int(2) === 0
      if (isSilent) proxy.holdAnswers()
      else proxy.breakAll()
      if (!isSilent && random.int(2) === 0) proxy.target = undefined
      timer = setTimeout(
        () => {
          proxy.breakAll()
          proxy.stopHolding()
          proxy.target = target
          next()
        },
        random.int(random.int(3) === 0 ? 400 : 30),
      )
    }, random.int(60))
  }
  next()
  return () => {
    clearTimeout(timer)
    proxy.stopHolding()
    proxy.target = target
    proxy.breakAll()
  }
}

test('whatever happens to connections, answers and deadlines, no record is there twice or out of order, and what was delivered is there', async (t) => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32))
  t.diagnostic(`SEED=${seed}`)
  const random = seededRandom(seed)
  const proxy = await TcpProxy.start(t)
  const port = await freePort()
  proxy.target = { host: '127.0.0.1', port }
  const broker = await startTestBroker({
    config: { listeners: `PLAINTEXT://127.0.0.1:${port}`, 'advertised.listeners': `PLAINTEXT://127.0.0.1:${proxy.port}` },
  })
  const bootstrapServers = `127.0.0.1:${proxy.port}`
  const admin = new Admin({ bootstrapServers })
  const producer = new Producer<string, string>({
    bootstrapServers,
    valueSerializer: string,
    batchSize: 300,
    lingerMs: 0,
    retryBackoffMs: 5,
    retryBackoffMaxMs: 20,
    reconnectBackoffMs: 2,
    reconnectBackoffMaxMs: 10,
    requestTimeoutMs: 150,
    deliveryTimeoutMs: 250,
  })
  t.after(async () => {
    await producer.close({ timeoutMs: 0 })
    await admin.close()
    proxy.breakAll()
    await broker.close()
  })
  await admin.createTopics([{ topic: 'a', numPartitions: PARTITIONS }])
  await producer.sendMany(Array.from({ length: PARTITIONS }, (_, partition) => ({ topic: 'a', partition, value: '-1' })))
  const delivered: Set<string>[] = Array.from({ length: PARTITIONS }, () => new Set(['-1']))
  const stop = troubles(proxy, random)
  const sends: Promise<void>[] = []
  for (let number = 0; number < RECORDS; number++) {
    const partition = random.int(PARTITIONS)
    const value = String(number)
    const sent = producer.send({ topic: 'a', partition, value }).then(
      () => void delivered[partition]!.add(value),
      () => {},
    )
    sends.push(sent)
    if (random.int(3) === 0) await new Promise((resolve) => setTimeout(resolve, random.int(10)))
  }
  await Promise.all(sends)
  stop()
  const content = await readCommittedValues(bootstrapServers, 'a')
  const failed = RECORDS + PARTITIONS - delivered.reduce((sum, { size }) => sum + size, 0)
  t.diagnostic(`${failed} failed, ${proxy.accepted} connections`)
  for (const [partition, values] of content.entries()) {
    const numbers = values.map(Number)
    assert.deepEqual(
      numbers,
      [...new Set(numbers)].sort((a, b) => a - b),
      `partition ${partition}`,
    )
    for (const value of delivered[partition]!) assert.ok(values.includes(value), `${value} in partition ${partition}`)
  }
})
