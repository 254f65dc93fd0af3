import assert from 'node:assert/strict'
import test from 'node:test'
import {
  ConsumerGroupHeartbeat,
  DescribeConfigs,
  errorName,
  FindCoordinator,
  IncrementalAlterConfigs,
  ListConfigResources,
} from '@tidelog/protocol'
import { connectTo, createTopic, startTestBroker, temporaryDirectory } from '@tidelog/testkit'

const groupType = 32

test('configurations of a group hold with its next heartbeat, are described and listed, outlive a restart, and may be of any group id', async (t) => {
  const dir = await temporaryDirectory(t)
  let broker = await startTestBroker({ config: { 'log.dirs': dir } })
  t.after(() => broker.close())
  let connection = await connectTo(t, broker)
  await createTopic(connection, 't')
  const groupId = 'a/b c%'
  const alter = async (name: string, value: string | null) => {
    const configs = [{ name, configOperation: value === null ? 1 : 0, value }]
    const resources = [{ resourceType: groupType, resourceName: groupId, configs }]
    const { responses } = await connection.send(IncrementalAlterConfigs, 1, { resources, validateOnly: false })
    return errorName(responses[0]!.errorCode)
  }
  const described = async () => {
    const resources = [{ resourceType: groupType, resourceName: groupId, configurationKeys: ['consumer.heartbeat.interval.ms'] }]
    const { results } = await connection.send(DescribeConfigs, 4, { resources, includeSynonyms: true, includeDocumentation: false })
    const { value, configSource, synonyms } = results[0]!.configs[0]!
    return { value, configSource, synonyms: synonyms.map(({ name, source }) => `${name} ${source}`) }
  }
  const listed = async () =>
    (await connection.send(ListConfigResources, 1, { resourceTypes: [groupType] })).configResources.map(({ resourceName }) => resourceName)
  const heartbeatInterval = async () => {
    for (;;) {
      const request = { groupId, memberId: 'm', memberEpoch: 0, rebalanceTimeoutMs: 1000, subscribedTopicNames: ['t'], topicPartitions: [] }
      const { errorCode, heartbeatIntervalMs } = await connection.send(ConsumerGroupHeartbeat, 1, {
        ...request,
        subscribedTopicRegex: null,
      })
      if (errorName(errorCode) === 'NONE') return heartbeatIntervalMs
      assert.match(errorName(errorCode), /COORDINATOR/)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
  assert.deepEqual(await listed(), [])
  assert.equal((await described()).configSource, 5)
  assert.equal(await alter('consumer.heartbeat.interval.ms', '1'), 'INVALID_CONFIG')
  assert.equal(await alter('consumer.heartbeat.interval.ms', '6000'), 'NONE')
  const synonyms = ['consumer.heartbeat.interval.ms 8', 'group.consumer.heartbeat.interval.ms 5']
  assert.deepEqual(await described(), { value: '6000', configSource: 8, synonyms })
  assert.deepEqual(await listed(), [groupId])
  await connection.send(FindCoordinator, 4, { keyType: 0, coordinatorKeys: [groupId] })
  assert.equal(await heartbeatInterval(), 6000)
  await broker.close()
  broker = await startTestBroker({ config: { 'log.dirs': dir } })
  connection = await connectTo(t, broker)
  assert.equal(await heartbeatInterval(), 6000)
  assert.equal(await alter('consumer.heartbeat.interval.ms', null), 'NONE')
  assert.equal(await heartbeatInterval(), 5000)
  assert.deepEqual(await listed(), [])
})
