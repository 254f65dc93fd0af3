import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DescribeConfigs } from '@tidelog/protocol'
import { connectTo, createTopic, startTestBroker } from '@tidelog/testkit'

test('each resource is described on its own: a missing topic has its error, its neighbours answer', async (t) => {
  const broker = await startTestBroker()
  t.after(() => broker.close())
  const connection = await connectTo(t, broker)
  await createTopic(connection, 'there', { configs: { 'retention.ms': '5' } })
  const ask = (
    resources: [resourceType: number, resourceName: string][],
    options: { keys?: string[] | null; version?: number; documentation?: boolean },
  ) =>
    connection.send(DescribeConfigs, options.version ?? 4, {
      resources: resources.map(([resourceType, resourceName]) => ({ resourceType, resourceName, configurationKeys: options.keys ?? null })),
      includeSynonyms: true,
      includeDocumentation: options.documentation ?? false,
    })

  const { results } = await ask(
    [
      [2, 'there'],
      [2, 'missing'],
      [2, 'a/b'],
      [4, '9'],
      [4, '1'],
      [3, 'x'],
    ],
    { keys: ['retention.ms', 'log.retention.hours'] },
  )
  assert.deepEqual(
    results.map(({ errorCode, configs }) => [errorCode, configs.map(({ name, value }) => `${name}=${value}`).join()]),
    [
      [0, 'retention.ms=5'],
      [3, ''],
      [17, ''],
      [42, ''],
      [0, 'log.retention.hours=168'],
      [42, ''],
    ],
  )
  const [retention] = results[0]!.configs
  assert.deepEqual(
    [retention?.configSource, retention?.configType, retention?.readOnly, retention?.documentation, retention?.synonyms],
    [1, 5, false, null, [{ name: 'retention.ms', value: '5', source: 1 }]],
  )

  for (const keys of [null, []]) assert.equal((await ask([[2, 'there']], { keys })).results[0]!.configs.length, 33)
  const old = (await ask([[2, 'there']], { version: 0, keys: ['retention.ms', 'retention.bytes'] })).results[0]!.configs
  assert.deepEqual(
    old.map(({ name, isDefault }) => [name, isDefault]),
    [
      ['retention.bytes', true],
      ['retention.ms', false],
    ],
  )
  const documented = (await ask([[4, '1']], { keys: ['num.partitions', 'num.io.threads'], documentation: true })).results[0]!.configs
  assert.match(documented[0]!.documentation ?? '', /No effect here/)
  assert.equal(documented[1]!.documentation, 'Partitions of a topic that is created without a number.')
})

test('a resource that is named twice is described once', async (t) => {
  const broker = await startTestBroker()
  t.after(() => broker.close())
  const connection = await connectTo(t, broker)
  const resource = { resourceType: 4, resourceName: '1', configurationKeys: null }
  const { results } = await connection.send(DescribeConfigs, 1, { resources: [resource, resource], includeSynonyms: false })
  assert.deepEqual(
    results.map(({ errorCode, configs }) => [errorCode, configs.length > 300]),
    [
      [0, true],
      [42, false],
    ],
  )
})
