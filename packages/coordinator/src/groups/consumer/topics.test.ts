import assert from 'node:assert/strict'
import test from 'node:test'
import { TopicHashes, type TopicView } from './topics.ts'

const orders: TopicView = { name: 'orders', topicId: 'b3JkZXJzb3JkZXJzb3JkZQ', partitionCount: 3, racksOf: () => [] }
const payments: TopicView = { name: 'payments', topicId: 'cGF5bWVudHNwYXltZW50cw', partitionCount: 100, racksOf: () => ['räck', 'rack-a'] }

function hashesOf(...topics: TopicView[]): TopicHashes {
  const byName = (name: string) => topics.find((topic) => topic.name === name)
  const byId = (topicId: string) => topics.find((topic) => topic.topicId === topicId)
  return new TopicHashes({ versionOfNewTopics: 1, byName, byId, names: () => topics.map(({ name }) => name) })
}

test("a subscription's hash is the one that Kafka's hash4j gives", () => {
  const hashes = hashesOf(orders, payments)
  assert.equal(hashes.ofSubscription(['orders']), -6541568995862747699n)
  assert.equal(hashes.ofSubscription(['payments', 'orders']), 1107835609369826111n)
  assert.equal(hashes.ofSubscription(['payments', 'missing', 'orders']), 1107835609369826111n, 'a topic that does not exist does not count')
  assert.equal(hashes.ofSubscription(['missing']), 0n)
})

test('a topic is hashed again once its hash has been forgotten', () => {
  const changing: { -readonly [K in keyof TopicView]: TopicView[K] } = { ...orders }
  const hashes = hashesOf(changing)
  const before = hashes.ofSubscription(['orders'])
  changing.partitionCount = 4
  assert.equal(hashes.ofSubscription(['orders']), before)
  hashes.forget('orders')
  assert.notEqual(hashes.ofSubscription(['orders']), before)
})
