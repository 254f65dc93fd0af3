import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { seededRandom, silentLogger } from '@tidelog/core'
import { ManualClock, openTestStore } from '@tidelog/testkit'
import { openCluster } from './cluster.ts'
import { ClusterConfigs, type ConfigTexts } from './configs.ts'
import { DEFAULT_ENTITY } from './znodes.ts'

async function twoBrokers(t: TestContext) {
  const clock = new ManualClock()
  const store = await openTestStore(t, undefined, clock)
  const session = store.connect()
  await openCluster(session, { random: seededRandom(1) })
  const open = () => ClusterConfigs.open({ store: store.connect(), clock, logger: silentLogger })
  return { clock, session, one: await open(), two: await open(), open }
}

const heard = (configs: ClusterConfigs) => new Promise<ConfigTexts>((resolve) => configs.onChange((_entity, texts) => resolve(texts)))
const put = (name: string, value: string) => (current: ConfigTexts) => new Map([...current, [name, value]])

test('a change is there for its maker at once, for other brokers by notification, and for later ones from the store', async (t) => {
  const { one, two, open, session } = await twoBrokers(t)
  const change = heard(two)
  await one.alter({ type: 'topics', name: 'orders' }, put('retention.ms', '5'))
  assert.deepEqual([...one.topic('orders')], [['retention.ms', '5']])
  assert.deepEqual([...(await change)], [['retention.ms', '5']])
  await one.alter({ type: 'brokers', name: DEFAULT_ENTITY }, put('log.retention.ms', '6'))
  assert.deepEqual([...(await open()).broker(DEFAULT_ENTITY)], [['log.retention.ms', '6']])
  const notification = await session.get('/config/changes/config_change_0000000000')
  assert.equal(notification.data.toString(), '{"version":2,"entity_path":"topics/orders"}')
  assert.deepEqual([...one.names('brokers')], [DEFAULT_ENTITY])
})

test('changes that two brokers make at the same moment both hold', async (t) => {
  const { one, two, open } = await twoBrokers(t)
  const entity = { type: 'topics', name: 'orders' } as const
  await Promise.all([one.alter(entity, put('a', '1')), two.alter(entity, put('b', '2')), one.alter(entity, put('c', '3'))])
  assert.deepEqual([...(await open()).topic('orders')].sort(), [
    ['a', '1'],
    ['b', '2'],
    ['c', '3'],
  ])
})

test('a change that its maker refuses leaves everything as it was', async (t) => {
  const { one, session } = await twoBrokers(t)
  const refusal = new Error('no')
  const altering = one.alter({ type: 'topics', name: 'orders' }, () => {
    throw refusal
  })
  await assert.rejects(altering, refusal)
  assert.deepEqual(await session.children('/config/topics'), [])
})

test('notifications are removed after a quarter of an hour', async (t) => {
  const { one, two, clock, session } = await twoBrokers(t)
  await one.alter({ type: 'topics', name: 'old' }, put('a', '1'))
  clock.advance(16 * 60 * 1000)
  const change = heard(two)
  await one.alter({ type: 'topics', name: 'new' }, put('a', '1'))
  await change
  while ((await session.children('/config/changes')).length > 1) await new Promise(setImmediate)
  assert.deepEqual(await session.children('/config/changes'), ['config_change_0000000001'])
})
