import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Exchange } from '@tidelog/net'
import { Fetch } from '@tidelog/protocol'
import { startProxied } from '@tidelog/testkit'

const MIB = 1024 * 1024

test('however many partitions have much to read, what is fetched ahead of a reader who takes little stays within 16 MiB, and all of it comes', async (t) => {
  const partitions = 24
  const perPartition = 10
  const { proxy, producer: makeProducer, consumer: make } = await startProxied(t, { topics: { a: partitions } })
  const producer = makeProducer()
  const value = 'x'.repeat(100_000)
  for (let partition = 0; partition < partitions; partition++)
    await producer.sendMany(Array.from({ length: perPartition }, () => ({ topic: 'a', partition, value })))
  let answered = 0
  proxy.onAnswer(Fetch, ({ responses }) => {
    for (const { partitions } of responses) for (const { records } of partitions) answered += records?.length ?? 0
    return undefined
  })
  const consumer = make()
  consumer.assign(Array.from({ length: partitions }, (_, partition) => ({ topic: 'a', partition })))
  let seen = 0
  let mostAhead = 0
  const take = async (maxRecords: number) => {
    const { count } = await consumer.poll({ maxRecords })
    seen += count
    // A chunk counts until the last of it has been taken.
    mostAhead = Math.max(mostAhead, answered - seen * value.length)
  }
  while (answered < 8 * MIB) await take(1)
  await new Promise((resolve) => setTimeout(resolve, 50))
  while (seen < partitions * perPartition) await take(7)
  assert.ok(mostAhead > 8 * MIB && mostAhead <= 17 * MIB, `${mostAhead} bytes were ahead`)
})

test('the next fetch has left when the records of the last one are handed out: the broker does not wait for their reader', async (t) => {
  const { producer: makeProducer, consumer: make } = await startProxied(t, { topics: { a: 1 } })
  const value = 'x'.repeat(1000)
  await makeProducer().sendMany(Array.from({ length: 40 }, () => ({ topic: 'a', value })))
  let underWay = 0
  const counting = (by: number) => (exchange: Exchange) => {
    if (exchange.api.name === 'Fetch') underWay += by
  }
  const consumer = make({ observer: { sent: counting(1), answered: counting(-1) } })
  consumer.assign([{ topic: 'a', partition: 0 }])
  for await (const _ of consumer.batches()) {
    assert.equal(underWay, 1)
    break
  }
})
