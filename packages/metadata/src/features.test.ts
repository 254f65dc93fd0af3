import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { seededRandom, silentLogger } from '@tidelog/core'
import { KafkaError } from '@tidelog/protocol'
import { ManualClock, openTestStore } from '@tidelog/testkit'
import { openCluster } from './cluster.ts'
import { type FeatureUpdate, planFeatureUpdates, type SupportedFeatures } from './features.ts'
import { MetadataImage } from './metadata-image.ts'
import type { MetadataStore } from './store/metadata-store.ts'
import { encodeFeatures, FEATURE } from './znodes.ts'

const features: SupportedFeatures = new Map([
  ['group.version', { minVersion: 0, maxVersion: 1, defaultLevel: 1 }],
  ['transaction.version', { minVersion: 0, maxVersion: 2, defaultLevel: 2 }],
])
const controller = { label: 'Local controller 1', features }
const update = (feature: string, level: number, upgradeType: FeatureUpdate['upgradeType'] = 'upgrade'): FeatureUpdate => ({
  feature,
  level,
  upgradeType,
})

async function openedStore(t: TestContext): Promise<MetadataStore> {
  const store = (await openTestStore(t)).connect()
  await openCluster(store, { random: seededRandom(1), features })
  return store
}

const imageOf = (store: MetadataStore, supported = features) =>
  MetadataImage.open({ clusterId: 'c', store, features: supported, clock: new ManualClock(), logger: silentLogger })

test('an update that cannot be made names its feature and why, in the words of Kafka 4.3, and none of the others is made', () => {
  const levels = new Map([['group.version', 1]])
  const older = { label: 'Broker 2', features: new Map([['transaction.version', { minVersion: 0, maxVersion: 1 }]]) }
  const refusals: [FeatureUpdate, string][] = [
    [update('group.version', 2), 'Local controller 1 only supports versions 0-1'],
    [update('group.version', 1), 'Broker 2 does not support this feature.'],
    [update('transaction.version', 2), 'Broker 2 only supports versions 0-1'],
    [update('other', 1), 'Local controller 1 does not support this feature.'],
    [update('other', 0), 'Feature other not found.'],
    [update('group.version', -1), 'A feature version cannot be less than 0.'],
    [
      update('group.version', 0),
      "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.",
    ],
    [update('transaction.version', 1, 'safe-downgrade'), "Can't downgrade to a newer version."],
    [update('group.version', 0, 'unknown'), 'The controller does not support the given upgrade type.'],
  ]
  for (const [refused, reason] of refusals) {
    const updates = [update('transaction.version', 1), refused].slice(refused.feature === 'transaction.version' ? 1 : 0)
    assert.throws(
      () => planFeatureUpdates(updates, levels, [controller, older]),
      (error: unknown) =>
        error instanceof KafkaError &&
        error.errorName === 'INVALID_UPDATE_VERSION' &&
        error.message ===
          'The update failed for all features since the following feature had an error: ' +
            `Invalid update version ${refused.level} for feature ${refused.feature}. ${reason}`,
    )
  }
})

test('levels go up by upgrades and down by downgrades, level 0 takes a feature away, and features that are not known here keep theirs', () => {
  const levels = new Map([
    ['group.version', 1],
    ['share.version', 1],
  ])
  const planned = planFeatureUpdates([update('transaction.version', 2), update('group.version', 0, 'safe-downgrade')], levels, [controller])
  assert.deepEqual([...planned].sort(), [
    ['share.version', 1],
    ['transaction.version', 2],
  ])
  const twice = planFeatureUpdates([update('transaction.version', 1), update('transaction.version', 2)], levels, [controller])
  assert.equal(twice.get('transaction.version'), 2, 'the later one of two for one feature holds')
})

test('a new cluster finalizes what is served, and so does a store that has no levels yet; levels that are there stay', async (t) => {
  const store = await openedStore(t)
  const image = await imageOf(store)
  t.after(() => image.close())
  assert.equal(image.featureLevel('group.version'), 1)
  assert.equal(image.featureLevel('transaction.version'), 2)
  assert.equal(image.featureLevel('share.version'), 0)
  assert.equal(image.finalizedFeatures.epoch, 0)

  const older = (await openTestStore(t)).connect()
  await openCluster(older, { random: seededRandom(1), features })
  await older.delete(FEATURE)
  await openCluster(older, { random: seededRandom(1), features })
  const taken = await imageOf(older)
  t.after(() => taken.close())
  assert.equal(taken.featureLevel('transaction.version'), 2)

  await store.set(FEATURE, encodeFeatures(new Map([['transaction.version', 1]])))
  await openCluster(store, { random: seededRandom(1), features })
  await image.refreshFeatures()
  assert.deepEqual(image.finalizedFeatures, { epoch: 1, levels: new Map([['transaction.version', 1]]) })
})

test('what Kafka 3.9 wrote is read in both of its formats; a level that this broker cannot run ends its start, one it does not know is left alone', async (t) => {
  const store = await openedStore(t)
  const put = (node: unknown) => store.set(FEATURE, Buffer.from(JSON.stringify(node)))
  await put({ version: 1, status: 1, features: { 'group.version': { min_version_level: 1, max_version_level: 1 } } })
  const image = await imageOf(store)
  t.after(() => image.close())
  assert.equal(image.featureLevel('group.version'), 1)
  await put({ version: 2, status: 0, features: { 'group.version': { max_version_level: 1 } } })
  await image.refreshFeatures()
  assert.equal(image.featureLevel('group.version'), 0, 'feature versioning is disabled')

  await put({ version: 2, status: 1, features: { 'share.version': { max_version_level: 7 } } })
  await image.refreshFeatures()
  assert.equal(image.finalizedFeatures.levels.size, 0)
  await put({ version: 2, status: 1, features: { 'transaction.version': { max_version_level: 3 } } })
  await assert.rejects(imageOf(store), /feature transaction.version is at level 3, but this broker runs levels up to 2/)
  for (const bad of [
    { version: 3, status: 1, features: {} },
    { version: 2, features: {} },
    { version: 2, status: 1, features: { a: {} } },
  ]) {
    await put(bad)
    await assert.rejects(imageOf(store), /\/feature/)
  }
})
