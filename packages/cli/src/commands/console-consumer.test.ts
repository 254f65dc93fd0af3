import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Consumer } from '@tidelog/client'
import { runWith } from '../command-harness.ts'
import { consoleConsumer } from './console-consumer.ts'

const server = ['--bootstrap-server', 'b:1']

/** A consumer of one partition whose records have these values; afterwards nothing comes. */
function consumerOf(...values: string[]): { fake: Partial<Consumer<Buffer, Buffer>>; calls: unknown[] } {
  const calls: unknown[] = []
  const note =
    (name: string) =>
    (...args: unknown[]): void => {
      calls.push([name, ...args])
    }
  let next = 0
  const fake = {
    subscribe: note('subscribe'),
    assign: note('assign'),
    seek: note('seek'),
    seekToBeginning: note('seekToBeginning'),
    seekToEnd: note('seekToEnd'),
    poll: async ({ maxRecords = 500 }: { maxRecords?: number } = {}) => {
      const records = values.slice(next, next + maxRecords).map((value, i) => ({
        topic: 't',
        partition: 0,
        offset: next + i,
        timestamp: 1,
        timestampType: 'CreateTime',
        keyBytes: null,
        valueBytes: Buffer.from(value),
        headers: [],
      }))
      next += records.length
      return { count: records.length, [Symbol.iterator]: () => records[Symbol.iterator]() }
    },
  }
  return { fake: fake as unknown as Partial<Consumer<Buffer, Buffer>>, calls }
}

test('--max-messages ends after so many, and the total goes to stderr', async () => {
  const { fake, calls } = consumerOf('a', 'b', 'c')
  const ran = await runWith(consoleConsumer, { consumer: fake }, ...server, '--topic', 't', '--from-beginning', '--max-messages', '2')
  assert.deepEqual([ran.code, ran.stdout, ran.stderr], [0, 'a\nb\n', 'Processed a total of 2 messages\n'])
  assert.deepEqual(calls, [['subscribe', ['t']]])
  assert.equal(ran.properties.get('auto.offset.reset'), 'earliest')
  assert.equal(ran.properties.get('enable.auto.commit'), 'false')
  assert.match(ran.properties.get('group.id') ?? '', /^console-consumer-\d{1,5}$/)
})

test('--timeout-ms ends when nothing comes for so long', async () => {
  const { fake } = consumerOf('a')
  const ran = await runWith(consoleConsumer, { consumer: fake }, ...server, '--topic', 't', '--timeout-ms', '2500')
  assert.deepEqual([ran.code, ran.stdout, ran.stderr], [0, 'a\n', 'Processed a total of 1 messages\n'])
  assert.equal(ran.properties.get('auto.offset.reset'), 'latest')
})

test('a partition is read without a group, from where --offset says', async () => {
  const place = { topic: 't', partition: 3 }
  const from = async (...args: string[]) => {
    const { fake, calls } = consumerOf()
    const ran = await runWith(
      consoleConsumer,
      { consumer: fake },
      ...server,
      '--topic',
      't',
      '--partition',
      '3',
      '--timeout-ms',
      '0',
      ...args,
    )
    assert.equal(ran.properties.has('group.id'), false)
    return calls
  }
  assert.deepEqual(await from('--offset', '7'), [
    ['assign', [place]],
    ['seek', place, 7],
  ])
  assert.deepEqual(await from(), [
    ['assign', [place]],
    ['seekToEnd', [place]],
  ])
  assert.deepEqual((await from('--offset', 'earliest'))[1], ['seekToBeginning', [place]])
})

test('--include subscribes to whole names', async () => {
  const { fake, calls } = consumerOf()
  await runWith(consoleConsumer, { consumer: fake }, ...server, '--include', 'a|b.*', '--timeout-ms', '0')
  assert.deepEqual(calls, [['subscribe', /^(?:a|b.*)$/u]])
})

test('a group of the user commits, and the old names of options are taken with a warning', async () => {
  const { fake } = consumerOf('a')
  const ran = await runWith(
    consoleConsumer,
    { consumer: fake },
    ...server,
    '--topic',
    't',
    '--group',
    'g',
    '--timeout-ms',
    '0',
    '--property',
    'print.offset=true',
  )
  assert.equal(
    ran.stdout,
    'Option --property is deprecated and will be removed in a future version. Use --formatter-property instead.\nOffset:0\ta\n',
  )
  assert.equal(ran.properties.get('group.id'), 'g')
  assert.equal(ran.properties.has('enable.auto.commit'), false)
})

test('options that do not go together are refused in the words of Kafka', async () => {
  const topic = [...server, '--topic', 't']
  const cases: [string[], string][] = [
    [server, 'Exactly one of the following arguments is required: [topic], [include]'],
    [[...topic, '--include', 'u'], 'Exactly one of the following arguments is required: [topic], [include]'],
    [[...topic, '--offset', '2'], 'The partition is required when offset is specified.'],
    [
      [...topic, '--partition', '0', '--offset', '-5'],
      "The provided offset value '-5' is incorrect. Valid values are 'earliest', 'latest', or a non-negative long.",
    ],
    [
      [...topic, '--partition', '0', '--from-beginning', '--offset', '2'],
      'Options from-beginning and offset cannot be specified together.',
    ],
    [[...topic, '--partition', '0', '--group', 'g'], 'Options group and partition cannot be specified together.'],
    [
      [...topic, '--from-beginning', '--command-property', 'auto.offset.reset=latest'],
      "Can't simultaneously specify --from-beginning and 'auto.offset.reset=latest', please remove one option",
    ],
    [
      [...topic, '--property', 'a=b', '--formatter-property', 'c=d'],
      'Options --formatter-property and --property cannot be specified together.',
    ],
  ]
  for (const [args, message] of cases) {
    const { code, stderr } = await runWith(consoleConsumer, {}, ...args)
    assert.deepEqual([code, stderr.split('\n')[0]], [1, message])
  }
})
