import assert from 'node:assert/strict'
import { join } from 'node:path'
import test from 'node:test'
import { nodeFileSystem, readClusterMetadata } from '@tidelog/storage'
import { nodesOfKraft } from './kraft-nodes.ts'
import { KraftState } from './kraft-state.ts'

async function stateIn(name: string): Promise<KraftState> {
  const state = new KraftState()
  await readClusterMetadata(nodeFileSystem, join(import.meta.dirname, '../../../storage/fixtures/kraft', name), (value) =>
    state.apply(value),
  )
  return state
}

const compact = (text: string) => Buffer.concat([Buffer.from([Buffer.byteLength(text) + 1]), Buffer.from(text)])
const feature = (name: string, level: number) => Buffer.concat([Buffer.from([1, 12, 0]), compact(name), Buffer.from([0, level, 0])])
const begin = Buffer.from([1, 23, 0, 0])
const end = Buffer.from([1, 24, 0, 0])
const abort = Buffer.from([1, 25, 0, 0])

function featuresAfter(...records: Buffer[]): [string, number][] {
  const state = new KraftState()
  for (const record of records) state.apply(record)
  return [...state.features]
}

for (const name of ['kafka-4.3-clean', 'kafka-4.3-killed', 'kafka-3.9-killed']) {
  test(`what ${name} knew is rebuilt: topics, configurations, users, quotas, ACLs, producer ids`, async () => {
    const state = await stateIn(name)
    const topics = [...state.topics.values()].filter((topic) => !topic.name.startsWith('__'))
    assert.deepEqual(topics.map((topic) => [topic.name, topic.partitions.size]).sort(), [
      ['orders', 3],
      ['plain', 2],
    ])
    assert.deepEqual([...state.topicConfigs('orders')].sort(), [
      ['cleanup.policy', 'compact,delete'],
      ['retention.ms', '123456'],
    ])
    assert.deepEqual([...state.topicConfigs('plain')], [['max.message.bytes', '2000000']])
    assert.deepEqual(state.brokers, [1])
    assert.equal(state.nextProducerId, 1000)
    const nodes = new Map(nodesOfKraft(state).map(([path, data]) => [path, data.length === 0 ? undefined : JSON.parse(data.toString())]))
    const config = (path: string) => nodes.get(path)?.config
    assert.equal(config('/config/brokers/<default>')['log.retention.ms'], '7000000')
    assert.deepEqual(config('/config/brokers/1'), { 'message.max.bytes': '3000000' })

    if (name.startsWith('kafka-4')) {
      assert.equal(config('/config/client-metrics/tele')['interval.ms'], '5000')
      assert.deepEqual(config('/config/groups/workers'), { 'consumer.session.timeout.ms': '50000' })
    }
    const { 'SCRAM-SHA-256': sha256, 'SCRAM-SHA-512': sha512, ...quotas } = config('/config/users/alice')
    assert.match(sha256, /^salt=[^,]+,stored_key=[^,]{44},server_key=[^,]{44},iterations=4096$/)
    assert.match(sha512, /^salt=[^,]+,stored_key=[^,]{88},server_key=[^,]{88},iterations=4096$/)
    assert.deepEqual(quotas, { producer_byte_rate: '1048576', request_percentage: '12.5' })
    assert.ok(config('/config/users/bob%2F%C3%BC%2A')['SCRAM-SHA-256'])
    assert.deepEqual(config('/config/users/alice/clients/app'), { consumer_byte_rate: '2048' })
    assert.deepEqual(config('/config/users/<default>'), { consumer_byte_rate: '4096' })
    assert.deepEqual(config('/config/clients/<default>'), { controller_mutation_rate: '5.0' })
    assert.deepEqual(config('/config/ips/127.0.0.2'), { connection_creation_rate: '10' })
    const allowed = (principal: string, operation: string) => ({ principal, permissionType: 'Allow', operation, host: '*' })
    const acls = (path: string) =>
      nodes.get(path)?.acls.sort((a: { operation: string }, b: { operation: string }) => (a.operation < b.operation ? -1 : 1))
    assert.deepEqual(acls('/kafka-acl/Topic/orders'), [allowed('User:alice', 'Describe'), allowed('User:alice', 'Read')])
    assert.deepEqual(acls('/kafka-acl/Topic/*'), [
      { principal: 'User:mallory', permissionType: 'Deny', operation: 'All', host: '10.0.0.1' },
    ])
    assert.deepEqual(acls('/kafka-acl-extended/prefixed/Topic/ord'), [allowed('User:alice', 'Write')])
    assert.deepEqual(acls('/kafka-acl/Group/team%2Fa'), [allowed('User:alice', 'Read')])
    assert.deepEqual(acls('/kafka-acl/Cluster/kafka-cluster'), [
      allowed('User:bob', 'ClusterAction'),
      allowed('User:bob', 'IdempotentWrite'),
    ])
    for (const removed of ['/config/users/carol', '/config/clients/gone-client', '/kafka-acl/Topic/plain'])
      assert.equal(nodes.has(removed), false)
    const paths = [...nodes.keys()]
    for (const path of paths) {
      const parent = path.slice(0, path.lastIndexOf('/'))
      assert.ok(parent === '' || paths.indexOf(parent) < paths.indexOf(path), `${path} comes after its parent`)
    }
  })
}

test('a metadata transaction counts when it has ended, and never when it was aborted or is open at the end', () => {
  assert.deepEqual(featuresAfter(begin, feature('group.version', 1), end), [['group.version', 1]])
  assert.deepEqual(featuresAfter(begin, feature('group.version', 1), abort, feature('share.version', 1)), [['share.version', 1]])
  assert.deepEqual(featuresAfter(feature('share.version', 1), begin, feature('share.version', 0)), [['share.version', 1]])
  assert.throws(() => featuresAfter(begin, begin), /begins within another/)
  assert.throws(() => featuresAfter(end), /has not begun/)
})

test('records of a topic that does not exist are refused', () => {
  const removeTopic = Buffer.concat([Buffer.from([1, 9, 0]), Buffer.alloc(17)])
  assert.throws(() => featuresAfter(removeTopic), /topic id A{22}, which no topic has/)
})

test('features that mean something here are kept, those of KRaft itself are not', async () => {
  const [[, data]] = nodesOfKraft(await stateIn('kafka-4.3-clean')) as [[string, Buffer]]
  const { features } = JSON.parse(data.toString())
  assert.deepEqual(features, {
    'group.version': { max_version_level: 1 },
    'share.version': { max_version_level: 1 },
    'streams.version': { max_version_level: 1 },
    'transaction.version': { max_version_level: 2 },
  })
})
