import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FramedConnection } from '@tidelog/net'
import { DescribeConfigs, IncrementalAlterConfigs } from '@tidelog/protocol'
import { connectTo, createTopic, startTestBroker, temporaryDirectory } from '@tidelog/testkit'

type Op = [name: string, operation: number, value: string | null]

const [SET, DELETE, APPEND] = [0, 1, 2]

async function alter(connection: FramedConnection, resources: [type: number, name: string, ops: Op[]][], { validateOnly = false } = {}) {
  const { responses } = await connection.send(IncrementalAlterConfigs, 1, {
    resources: resources.map(([resourceType, resourceName, ops]) => ({
      resourceType,
      resourceName,
      configs: ops.map(([name, configOperation, value]) => ({ name, configOperation, value })),
    })),
    validateOnly,
  })
  return responses.map(({ errorCode, errorMessage }) => [errorCode, errorMessage])
}

async function configValue(connection: FramedConnection, resourceType: number, resourceName: string, key: string) {
  const resources = [{ resourceType, resourceName, configurationKeys: [key] }]
  const { results } = await connection.send(DescribeConfigs, 4, { resources, includeSynonyms: true, includeDocumentation: false })
  return results[0]?.configs[0]?.value
}

test('rows are altered one by one, and a request that is malformed is refused in the words of Kafka 4.3', async (t) => {
  const broker = await startTestBroker()
  t.after(() => broker.close())
  const connection = await connectTo(t, broker)
  await createTopic(connection, 't')
  await createTopic(connection, '__proto__')
  assert.deepEqual(
    await alter(connection, [
      [
        2,
        't',
        [
          ['retention.ms', SET, '7'],
          ['cleanup.policy', APPEND, 'compact'],
        ],
      ],
      [2, 'missing', [['retention.ms', SET, '7']]],
      [2, '__proto__', [['retention.ms', SET, '8']]],
    ]),
    [
      [0, null],
      [3, "The topic 'missing' does not exist."],
      [0, null],
    ],
  )
  assert.equal(await configValue(connection, 2, 't', 'retention.ms'), '7')
  assert.equal(await configValue(connection, 2, 't', 'cleanup.policy'), 'delete,compact')
  assert.equal(await configValue(connection, 2, '__proto__', 'retention.ms'), '8')

  const refused = async (ops: Op[]) => (await alter(connection, [[2, 't', ops]]))[0]
  assert.deepEqual(await refused([['retention.ms', SET, null]]), [42, 'Null value not supported for : retention.ms'])
  assert.deepEqual(
    await refused([
      ['retention.ms', SET, '1'],
      ['retention.ms', DELETE, null],
    ]),
    [42, 'Error due to duplicate config keys'],
  )
  assert.deepEqual(await refused([['retention.ms', 9, '1']]), [42, 'Unknown operation 9'])
  assert.deepEqual(await refused([['retention.ms', SET, '-5']]), [
    40,
    'Invalid value -5 for configuration retention.ms: Value must be at least -1',
  ])
  const twice: [number, string, Op[]] = [2, 't', [['retention.ms', SET, '9']]]
  assert.deepEqual(await alter(connection, [twice, twice]), Array(2).fill([42, 'Each resource must appear at most once.']))
  assert.deepEqual(await alter(connection, [[2, 't', [['retention.ms', SET, '9']]]], { validateOnly: true }), [[0, null]])
  assert.equal(await configValue(connection, 2, 't', 'retention.ms'), '7')
  assert.deepEqual(await alter(connection, [[2, 't', [['retention.ms', DELETE, null]]]]), [[0, null]])
  assert.equal(await configValue(connection, 2, 't', 'retention.ms'), '604800000')
})

test('dynamic configurations hold at once and outlive a restart', async (t) => {
  const dir = await temporaryDirectory(t)
  const config = { 'log.dirs': dir }
  const first = await startTestBroker({ config })
  const connection = await connectTo(t, first)
  await createTopic(connection, 't')
  const altered = await alter(connection, [
    [2, 't', [['segment.ms', SET, '9223372036854775807']]],
    [4, '', [['message.max.bytes', SET, '2000']]],
    [4, '1', [['log.retention.ms', SET, '3000']]],
  ])
  assert.deepEqual(altered, Array(3).fill([0, null]))
  assert.equal(first.config['message.max.bytes'], 2000)
  assert.equal(await configValue(connection, 2, 't', 'max.message.bytes'), '2000')
  await first.close()
  const second = await startTestBroker({ config })
  t.after(() => second.close())
  const again = await connectTo(t, second)
  assert.equal(second.config['message.max.bytes'], 2000)
  assert.equal(await configValue(again, 2, 't', 'segment.ms'), '9223372036854775807')
  assert.equal(await configValue(again, 2, 't', 'retention.ms'), '3000')
})
