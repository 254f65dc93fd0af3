import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Logger, silentLogger } from '@tidelog/core'
import type { NewTopic } from '@tidelog/metadata'
import { KafkaError } from '@tidelog/protocol'
import { AutoTopicCreation, newTopicOf } from './auto-topic-creation.ts'
import { parseBrokerConfig } from './config/parse-broker-config.ts'

type Options = ConstructorParameters<typeof AutoTopicCreation>[0]

/** A controller that answers when it is told to, and then has the topics; `refused` says why not. */
function harness(refused: Record<string, KafkaError> = {}) {
  const requests: string[][] = []
  const warnings: unknown[] = []
  const there = new Set<string>()
  let release: () => void = () => {}
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  const controller = {
    createTopics: async (topics: readonly NewTopic[]) => {
      requests.push(topics.map(({ name }) => name))
      await released
      return topics.map(({ name }) => {
        const error = refused[name]
        if (error !== undefined) return { name, error }
        there.add(name)
        return { name, created: undefined }
      })
    },
  }
  const logger: Logger = { ...silentLogger, warn: (_message, fields) => warnings.push(fields?.topic) }
  const creation = new AutoTopicCreation({
    controller: controller as unknown as Options['controller'],
    image: { topic: (name: string) => (there.has(name) ? {} : undefined) } as unknown as Options['image'],
    config: parseBrokerConfig({}).config,
    logger,
  })
  return { creation, requests, warnings, release }
}

test('missing topics are asked for once, together, however many ask', async () => {
  const { creation, requests, release } = harness()
  creation.begin(['a', 'b'])
  creation.begin(['b', 'c'])
  const waiting = Promise.all([creation.ensure('a'), creation.ensure('d')])
  release()
  await waiting
  await creation.ensure('a')
  assert.deepEqual(requests, [['a', 'b'], ['c'], ['d']])
})

test('a refusal reaches who waits, and the log when nobody does; who asks again tries again', async () => {
  const refusal = new KafkaError('INVALID_REPLICATION_FACTOR', 'no')
  const { creation, requests, warnings, release } = harness({ bad: refusal, there: new KafkaError('TOPIC_ALREADY_EXISTS', 'already') })
  release()
  creation.begin(['bad', 'good'])
  await assert.rejects(creation.ensure('bad'), refusal)
  assert.deepEqual(warnings, ['bad'])
  await assert.rejects(creation.ensure('bad'), refusal)
  await creation.ensure('there')
  assert.deepEqual(requests, [['bad', 'good'], ['bad'], ['there']])
})

test('internal topics are set up as configured, others by their defaults', () => {
  const { config } = parseBrokerConfig({ 'offsets.topic.num.partitions': '7' })
  const offsets = newTopicOf('__consumer_offsets', config)
  assert.deepEqual([offsets.partitions, offsets.replicationFactor], [7, 1])
  assert.deepEqual(offsets.configs[0], { name: 'cleanup.policy', value: 'compact' })
  assert.deepEqual(newTopicOf('__transaction_state', config).configs.at(-1), { name: 'unclean.leader.election.enable', value: 'false' })
  assert.deepEqual(newTopicOf('__share_group_state', config).configs[0], { name: 'cleanup.policy', value: 'delete' })
  const byDefault = { partitions: -1, replicationFactor: -1, assignments: [], configs: [] }
  assert.deepEqual(newTopicOf('orders', config), { name: 'orders', ...byDefault })
})
