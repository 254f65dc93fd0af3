import assert from 'node:assert/strict'
import test from 'node:test'
import { type Logger, seededRandom, silentLogger } from '@tidelog/core'
import { type FoundPartition, topicsOfKraft } from './adopted-topics.ts'
import { folder, ordersId } from './adoption-harness.test.ts'
import { type KraftPartition, KraftState } from './kraft/kraft-state.ts'

const otherId = '_____w__TUyAAAAAAAAAAA'
const here: KraftPartition = { replicas: [1], isr: [1], leaderEpoch: 4, eligibleLeaderReplicas: [] }

function kraftOf(...topics: { name?: string; topicId?: string; partitions: (KraftPartition | undefined)[] }[]): KraftState {
  const state = new KraftState()
  for (const { name = 'orders', topicId = ordersId, partitions } of topics) {
    const known = [...partitions.entries()].flatMap(([index, partition]) => (partition === undefined ? [] : [[index, partition] as const]))
    state.topics.set(topicId, { name, topicId, partitions: new Map(known) })
  }
  return state
}

function topicsOf(kraft: KraftState, found: readonly FoundPartition[]) {
  const warnings: string[] = []
  const logger: Logger = { ...silentLogger, warn: (message, fields) => warnings.push(`${message}: ${fields?.names}`) }
  const internalTopic = () => ({ partitions: 1, configs: new Map() })
  return { topics: topicsOfKraft(kraft, { brokerId: 1, found, internalTopic, random: seededRandom(1), logger }), warnings }
}

test('a topic is what the metadata log says; its leader epochs are the later of log and folder', () => {
  const kraft = kraftOf({ partitions: [here, here, here] })
  const { topics, warnings } = topicsOf(kraft, [folder('orders', 0, { lastLeaderEpoch: 7 }), folder('orders', 1, { topicId: undefined })])
  assert.deepEqual(topics, [{ name: 'orders', topicId: ordersId, configs: new Map(), epochs: [7, 4, 4], missing: [2] }])
  assert.deepEqual(warnings, [])
})

test('of a cluster of several brokers, all partitions of a topic that has a replica here are adopted; one without is left out', () => {
  const elsewhere: KraftPartition = { ...here, replicas: [2, 3], isr: [2, 3] }
  const behind: KraftPartition = { ...here, replicas: [1, 2], isr: [2] }
  const stopped: KraftPartition = { ...here, replicas: [1, 2], isr: [], eligibleLeaderReplicas: [1] }
  const kraft = kraftOf({ partitions: [here, elsewhere, behind, stopped] }, { name: 'theirs', topicId: otherId, partitions: [elsewhere] })
  const { topics, warnings } = topicsOf(kraft, [folder('orders', 0), folder('orders', 2), folder('orders', 3)])
  assert.deepEqual(
    topics.map(({ name, epochs, missing }) => ({ name, partitions: epochs.length, missing })),
    [{ name: 'orders', partitions: 4, missing: [1] }],
  )
  assert.deepEqual(warnings, [
    'topics without a replica on this broker are left out: theirs',
    'partitions were behind their leader on another broker: they are adopted as they are here: orders-2',
  ])
})

test('folders that the metadata log does not know are left alone with a warning', () => {
  const { topics, warnings } = topicsOf(kraftOf({ partitions: [here] }), [folder('orders', 0), folder('orders', 9), folder('removed', 0)])
  assert.equal(topics[0]?.epochs.length, 1)
  assert.deepEqual(warnings, ['folders of partitions that the metadata log does not know are left alone: orders-9,removed-0'])
})

test('contradictions are refused in one line: another topic id, gaps in the partitions, names that cannot be', () => {
  const kraft = kraftOf({ partitions: [here] })
  assert.throws(
    () => topicsOf(kraft, [folder('orders', 0, { topicId: otherId })]),
    /^Error: the folders of topic orders have the topic id [^\n]*$/,
  )
  assert.throws(() => topicsOf(kraftOf({ partitions: [undefined, here] }), []), /no partition orders-0/)
  assert.throws(() => topicsOf(kraftOf({ name: '../x', partitions: [here] }), []), /which cannot be/)
})
