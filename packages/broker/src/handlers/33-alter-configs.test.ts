import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AlterConfigs, DescribeConfigs } from '@tidelog/protocol'
import { connectTo, createTopic, startTestBroker } from '@tidelog/testkit'

test("a topic's overrides are replaced: what is not named goes back to its default", async (t) => {
  const broker = await startTestBroker()
  t.after(() => broker.close())
  const connection = await connectTo(t, broker)
  await createTopic(connection, 't', { configs: { 'retention.ms': '5', 'retention.bytes': '6' } })
  const alter = async (
    resourceType: number,
    resourceName: string,
    configs: [name: string, value: string | null][],
    validateOnly = false,
  ) => {
    const { responses } = await connection.send(AlterConfigs, 2, {
      resources: [{ resourceType, resourceName, configs: configs.map(([name, value]) => ({ name, value })) }],
      validateOnly,
    })
    return [responses[0]?.errorCode, responses[0]?.errorMessage]
  }
  const overrides = async () => {
    const resources = [{ resourceType: 2, resourceName: 't', configurationKeys: null }]
    const { results } = await connection.send(DescribeConfigs, 4, { resources, includeSynonyms: false, includeDocumentation: false })
    return results[0]!.configs.filter(({ configSource }) => configSource === 1).map(({ name, value }) => `${name}=${value}`)
  }

  assert.deepEqual(await alter(2, 't', [['segment.ms', '9']], true), [0, null])
  assert.deepEqual(await alter(2, 't', [['retention.bytes', 'x']]), [
    40,
    'Invalid value x for configuration retention.bytes: Not a number of type LONG',
  ])
  assert.deepEqual(await alter(2, 't', [['retention.bytes', null]]), [42, 'Null value not supported for : retention.bytes'])
  assert.deepEqual(await alter(4, '1', [['broker.id', '1']]), [42, 'Cannot update these configs dynamically: [broker.id]'])
  assert.deepEqual(await overrides(), ['retention.bytes=6', 'retention.ms=5'])
  assert.deepEqual(await alter(2, 't', [['retention.bytes', '7']]), [0, null])
  assert.deepEqual(await overrides(), ['retention.bytes=7'])
  assert.deepEqual(await alter(2, 't', []), [0, null])
  assert.deepEqual(await overrides(), [])
})
