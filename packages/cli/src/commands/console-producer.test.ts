import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Producer } from '@tidelog/client'
import { runWith } from '../command-harness.ts'
import { consoleProducer } from './console-producer.ts'

const args = ['--bootstrap-server', 'b:1', '--topic', 't']

/** Takes `room` records, then none until ready() was called. */
function producerWith(
  room = Number.POSITIVE_INFINITY,
  failure?: Error,
): { fake: Partial<Producer<string, string>>; sent: unknown[]; waits: () => number } {
  const sent: unknown[] = []
  let left = room
  let waits = 0
  const fake: Partial<Producer<string, string>> = {
    enqueue: (record, onDelivery) => {
      if (left-- <= 0) return false
      sent.push(record)
      onDelivery?.(failure as never, undefined)
      return true
    },
    ready: async () => {
      waits++
      left = room
    },
    flush: async () => {},
  }
  return { fake, sent, waits: () => waits }
}

test('every line becomes a record, with the defaults of Kafka', async () => {
  const { fake, sent } = producerWith()
  const ran = await runWith(consoleProducer, { producer: fake, stdin: 'a\nb\n' }, ...args)
  assert.equal(ran.code, 0)
  assert.deepEqual(sent, [
    { topic: 't', key: null, value: 'a', headers: [] },
    { topic: 't', key: null, value: 'b', headers: [] },
  ])
  const defaults = {
    acks: '-1',
    'linger.ms': '1000',
    'batch.size': '16384',
    retries: '3',
    'request.timeout.ms': '1500',
    'compression.type': 'none',
  }
  for (const [name, value] of Object.entries(defaults)) assert.equal(ran.properties.get(name), value, name)
})

test('a full buffer holds the reading back and loses nothing', async () => {
  const { fake, sent, waits } = producerWith(2)
  await runWith(consoleProducer, { producer: fake, stdin: '1\n2\n3\n4\n5\n' }, ...args)
  assert.equal(sent.length, 5)
  assert.equal(waits(), 2)
})

test('a property wins over its option, an option over the default', async () => {
  const { fake } = producerWith()
  const ran = await runWith(
    consoleProducer,
    { producer: fake },
    ...args,
    '--compression-codec',
    '--request-required-acks',
    '1',
    '--timeout',
    '5',
    '--command-property',
    'linger.ms=7',
  )
  assert.equal(ran.properties.get('compression.type'), 'gzip')
  assert.equal(ran.properties.get('acks'), '1')
  assert.equal(ran.properties.get('linger.ms'), '7')
})

test('a line without its separator ends the run with its number', async () => {
  const { fake } = producerWith()
  const ran = await runWith(consoleProducer, { producer: fake, stdin: 'k\tv\nnokey\n' }, ...args, '--reader-property', 'parse.key=true')
  assert.deepEqual(
    [ran.code, ran.stderr],
    [1, "org.apache.kafka.common.KafkaException: No key separator found on line number 2: 'nokey'\n"],
  )
})

test('a record that is not delivered is told on stderr, and the exit code says so', async () => {
  const { fake } = producerWith(undefined, new Error('no leader'))
  const ran = await runWith(consoleProducer, { producer: fake, stdin: 'abc\n' }, ...args)
  assert.deepEqual(
    [ran.code, ran.stderr],
    [1, 'Error when sending message to topic t with key: null, value: 3 bytes with error: no leader\n'],
  )
})
