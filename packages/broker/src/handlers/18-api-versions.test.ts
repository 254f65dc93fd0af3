import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiVersions, apis } from '@tidelog/protocol'
import { connectTo, startTestBroker } from '@tidelog/testkit'
import { handlers, notServed } from './index.ts'

test('every version announces what is served, without unstable versions, and nothing else', async (t) => {
  const broker = await startTestBroker()
  t.after(() => broker.close())
  const connection = await connectTo(t, broker)
  for (let version = 0; version <= 4; version++) {
    const { errorCode, apiKeys, finalizedFeaturesEpoch } = await connection.send(ApiVersions, version, {
      clientSoftwareName: 'test',
      clientSoftwareVersion: '1.0',
    })
    assert.equal(errorCode, 0)
    assert.equal(apiKeys.length, Object.keys(handlers).length)
    const ranges = new Map(apiKeys.map(({ apiKey, minVersion, maxVersion }) => [apiKey, [minVersion, maxVersion]]))
    assert.deepEqual(ranges.get(apis.Produce.key), [0, 13])
    assert.deepEqual(ranges.get(apis.Fetch.key), [0, 18])
    assert.deepEqual(ranges.get(apis.InitProducerId.key), [0, 5], 'version 6 is unstable')
    for (const name of notServed) assert.equal(ranges.has(apis[name].key), false, name)
    if (version >= 3) assert.ok(finalizedFeaturesEpoch >= 0, 'Java ignores features of a negative epoch')
  }
})
