import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { startTestBroker } from '@tidelog/testkit'
import { Producer } from '../producer/producer.ts'
import { Consumer } from './consumer.ts'

const COUNT = 200

/** A consumer that has 200 records to read. */
async function setUp(t: TestContext): Promise<Consumer> {
  const broker = await startTestBroker()
  const { bootstrapServers } = broker
  const producer = new Producer({ bootstrapServers })
  const consumer = new Consumer({ bootstrapServers, autoOffsetReset: 'earliest', maxPollRecords: 10 })
  t.after(async () => {
    await consumer.close()
    await broker.close()
  })
  await producer.sendMany(Array.from({ length: COUNT }, () => ({ topic: 'a', value: 'v', partition: 0 })))
  await producer.close()
  consumer.assign([{ topic: 'a', partition: 0 }])
  return consumer
}

/** Keeps the loop busy; what else the loop has to do shows in `turns`. */
class Busy {
  turns = 0
  seen = 0
  #isCounting = false

  record(): void {
    this.seen++
    const until = performance.now() + 1
    while (performance.now() < until) {}
    if (this.#isCounting) return
    this.#isCounting = true
    setImmediate(() => {
      this.turns++
      this.#isCounting = false
    })
  }
}

test('whichever way records are read, timers and sockets have their turn although the user never waits', async (t) => {
  const consumer = await setUp(t)
  const ways: Record<string, (busy: Busy) => Promise<void>> = {
    async poll(busy) {
      while (busy.seen < COUNT) for (const _ of await consumer.poll()) busy.record()
    },
    async records(busy) {
      for await (const _ of consumer.records()) {
        busy.record()
        if (busy.seen === COUNT) break
      }
    },
    async batches(busy) {
      for await (const batch of consumer.batches()) {
        for (const _ of batch) busy.record()
        if (busy.seen === COUNT) break
      }
    },
    async run(busy) {
      const stop = new AbortController()
      await consumer.run({
        signal: stop.signal,
        eachRecord() {
          busy.record()
          if (busy.seen === COUNT) stop.abort()
        },
      })
    },
  }
  for (const [name, read] of Object.entries(ways)) {
    consumer.seekToBeginning()
    // The records are there before the reading begins.
    await consumer.poll({ maxRecords: 1 })
    consumer.seekToBeginning()
    const busy = new Busy()
    await read(busy)
    assert.equal(busy.seen, COUNT)
    assert.ok(busy.turns >= 5, `${name}: ${busy.turns} turns in 200 ms`)
  }
})
