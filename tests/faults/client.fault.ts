/** Our client while its broker is killed, again and again: the producer's records are in the log once and in order, the group's reader sees each once. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Consumer, Producer, string } from '@tidelog/client'
import { seededRandom } from '@tidelog/core'
import { freePort } from '@tidelog/testkit'
import { counts, startBrokerProcess, temporaryDir } from './broker-process.ts'

const PARTITIONS = 3
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** A broker that stays on its directory and port over any number of deaths. */
async function immortalBroker(t: TestContext) {
  const dir = temporaryDir(t)
  const port = await freePort()
  const overrides = {
    listeners: `PLAINTEXT://127.0.0.1:${port}`,
    'num.partitions': String(PARTITIONS),
    'group.initial.rebalance.delay.ms': '0',
  }
  let broker = await startBrokerProcess(dir, { overrides })
  return {
    bootstrapServers: `127.0.0.1:${port}`,
    async kill() {
      broker.child.kill('SIGKILL')
      await broker.ended
      broker = await startBrokerProcess(dir, { overrides })
    },
  }
}

const sequenceOf = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

test('P17: a broker that is killed under a producer and a group costs neither a record nor a second one', async (t) => {
  const { bootstrapServers, kill } = await immortalBroker(t)
  const quick = { bootstrapServers, retryBackoffMs: 10, reconnectBackoffMs: 10, reconnectBackoffMaxMs: 100 }
  const producer = new Producer<Buffer, string>({ ...quick, valueSerializer: string, requestTimeoutMs: 5000 })
  const consumer = new Consumer<Buffer, string>({
    ...quick,
    groupId: 'g',
    valueDeserializer: string,
    autoOffsetReset: 'earliest',
    autoCommitIntervalMs: 20,
    heartbeatIntervalMs: 50,
    metadataMaxAgeMs: 500,
    fetchMaxWaitMs: 50,
  })
  t.after(() => Promise.all([producer.close({ timeoutMs: 1000 }), consumer.close({ timeoutMs: 1000 })]))
  const sent = Array<number>(PARTITIONS).fill(0)
  const seen: number[][] = Array.from({ length: PARTITIONS }, () => [])
  const stop = new AbortController()
  let isOver = false
  consumer.subscribe(['a'])
  const reading = consumer.run({ eachRecord: ({ partition, value }) => void seen[partition]!.push(Number(value)), signal: stop.signal })
  const writing = (async () => {
    while (!isOver) {
      const records = sent.flatMap((from, partition) => sequenceOf(20).map((i) => ({ topic: 'a', partition, value: String(from + i) })))
      for (let partition = 0; partition < PARTITIONS; partition++) sent[partition]! += 20
      await producer.sendMany(records)
      await pause(1)
    }
  })()
  const random = seededRandom(17)
  for (let deaths = 0; deaths < counts(4, 25); deaths++) {
    await pause(100 + random.int(400))
    await kill()
  }
  isOver = true
  await writing
  const deadline = performance.now() + 30_000
  while (seen.some((values, partition) => values.length < sent[partition]!) && performance.now() < deadline) await pause(20)
  stop.abort()
  await reading
  for (const [partition, values] of seen.entries()) assert.deepEqual(values, sequenceOf(sent[partition]!), `partition ${partition}`)
  await consumer.close()
  const after = new Consumer<Buffer, string>({ ...quick, groupId: 'g' })
  const committed = await after.committed(sequenceOf(PARTITIONS).map((partition) => ({ topic: 'a', partition })))
  const ends = await after.endOffsets(sequenceOf(PARTITIONS).map((partition) => ({ topic: 'a', partition })))
  await after.close()
  for (const partition of sequenceOf(PARTITIONS)) {
    const place = { topic: 'a', partition }
    assert.equal(committed.get(place)?.offset, sent[partition], 'the group goes on behind the last record')
    assert.equal(ends.get(place), sent[partition], 'nothing was appended twice')
  }
})
