import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { SupportedFeatures } from '@tidelog/metadata'
import { ApiVersions, errorTable, UpdateFeatures } from '@tidelog/protocol'
import { connectForTest, startBrokerForTest, startTestBroker, temporaryDirectory } from '@tidelog/testkit'

const features: SupportedFeatures = new Map([
  ['group.version', { minVersion: 0, maxVersion: 1, defaultLevel: 1 }],
  ['transaction.version', { minVersion: 0, maxVersion: 2, defaultLevel: 2 }],
  ['some.version', { minVersion: 1, maxVersion: 1, defaultLevel: 0 }],
])

const brokerOf = (t: TestContext) => startBrokerForTest(t, { features })
const client = { clientSoftwareName: 'test', clientSoftwareVersion: '1' }
const update = (feature: string, maxVersionLevel: number, upgradeType = 1) => ({ feature, maxVersionLevel, upgradeType })
const levelsIn = ({ finalizedFeatures }: { finalizedFeatures: readonly { name: string; maxVersionLevel: number }[] }) =>
  Object.fromEntries(finalizedFeatures.map(({ name, maxVersionLevel }) => [name, maxVersionLevel]))

test('ApiVersions shows ranges and levels; clients that fail on a range from 0 are spared it', async (t) => {
  const { call } = await brokerOf(t)
  const newest = await call(ApiVersions, 4, client)
  assert.deepEqual(newest.supportedFeatures, [
    { name: 'group.version', minVersion: 0, maxVersion: 1 },
    { name: 'transaction.version', minVersion: 0, maxVersion: 2 },
    { name: 'some.version', minVersion: 1, maxVersion: 1 },
  ])
  const older = await call(ApiVersions, 3, client)
  assert.deepEqual(older.supportedFeatures, [{ name: 'some.version', minVersion: 1, maxVersion: 1 }])
  for (const response of [newest, older]) {
    assert.equal(response.finalizedFeaturesEpoch, 0)
    assert.deepEqual(response.finalizedFeatures, [
      { name: 'group.version', maxVersionLevel: 1, minVersionLevel: 1 },
      { name: 'transaction.version', maxVersionLevel: 2, minVersionLevel: 2 },
    ])
  }
})

test('levels change together with their epoch, and hold after a restart', async (t) => {
  const dir = await temporaryDirectory(t)
  const first = await startTestBroker({ features, config: { 'log.dirs': dir } })
  t.after(() => first.close())
  const call = await connectForTest(t, first)
  const lowered = await call(UpdateFeatures, 2, { featureUpdates: [update('transaction.version', 1, 2), update('group.version', 0, 3)] })
  assert.equal(lowered.errorCode, 0)
  const changed = await call(ApiVersions, 4, client)
  assert.deepEqual(levelsIn(changed), { 'transaction.version': 1 })
  assert.equal(changed.finalizedFeaturesEpoch, 1)
  await first.close()

  const second = await startTestBroker({ features, config: { 'log.dirs': dir } })
  t.after(() => second.close())
  const kept = await (await connectForTest(t, second))(ApiVersions, 4, client)
  assert.deepEqual(levelsIn(kept), { 'transaction.version': 1 })
  assert.equal(kept.finalizedFeaturesEpoch, 1)
})

test('an update that is only validated, or of nothing, changes nothing; versions 0 and 1 answer a row a feature', async (t) => {
  const { call } = await brokerOf(t)
  const validated = await call(UpdateFeatures, 1, { featureUpdates: [update('group.version', 0, 2)], validateOnly: true })
  assert.deepEqual(validated.results, [{ feature: 'group.version', errorCode: 0, errorMessage: 'NONE' }])
  const same = await call(UpdateFeatures, 0, { featureUpdates: [{ feature: 'some.version', maxVersionLevel: 1, allowDowngrade: false }] })
  assert.deepEqual([same.errorCode, same.errorMessage, same.results?.length], [0, null, 1])
  assert.equal((await call(UpdateFeatures, 2, { featureUpdates: [] })).errorCode, 0)
  const after = await call(ApiVersions, 4, client)
  assert.deepEqual(levelsIn(after), { 'group.version': 1, 'transaction.version': 2, 'some.version': 1 })
  assert.equal(after.finalizedFeaturesEpoch, 1, 'by the one real change')
})

test('an update that cannot be made is refused as a whole', async (t) => {
  const { call } = await brokerOf(t)
  for (const version of [0, 1, 2]) {
    const { errorCode, errorMessage } = await call(UpdateFeatures, version, {
      featureUpdates: [
        { feature: 'some.version', maxVersionLevel: 1, ...(version === 0 ? { allowDowngrade: true } : {}) },
        { feature: 'group.version', maxVersionLevel: 0, ...(version === 0 ? { allowDowngrade: true } : {}) },
      ],
    })
    assert.equal(errorCode, errorTable.INVALID_UPDATE_VERSION.code)
    assert.match(
      errorMessage ?? '',
      /^The update failed for all features .* Invalid update version 0 for feature group.version. Can't downgrade/,
    )
  }
  const late = await call(UpdateFeatures, 2, { timeoutMs: 0, featureUpdates: [update('some.version', 1)] })
  assert.equal(late.errorCode, errorTable.REQUEST_TIMED_OUT.code)
  assert.equal((await call(ApiVersions, 4, client)).finalizedFeaturesEpoch, 0)
})
