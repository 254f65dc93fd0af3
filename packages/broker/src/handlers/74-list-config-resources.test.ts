import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ListConfigResources } from '@tidelog/protocol'
import { connectTo, createTopic, startTestBroker } from '@tidelog/testkit'

test('brokers and topics are listed; version 0 asks for client metrics, of which there are none', async (t) => {
  const broker = await startTestBroker()
  t.after(() => broker.close())
  const connection = await connectTo(t, broker)
  for (const name of ['b', 'a']) await createTopic(connection, name)
  const list = async (version: number, resourceTypes: number[]) => {
    const { errorCode, configResources } = await connection.send(ListConfigResources, version, version === 0 ? {} : { resourceTypes })
    return [errorCode, configResources.map(({ resourceType, resourceName }) => `${resourceType}:${resourceName}`).join()]
  }
  assert.deepEqual(await list(1, []), [0, '4:1,2:a,2:b'])
  assert.deepEqual(await list(1, [2]), [0, '2:a,2:b'])
  assert.deepEqual(await list(1, [8, 16, 32]), [0, ''])
  assert.deepEqual(await list(1, [3]), [35, ''])
  assert.deepEqual(await list(0, []), [0, ''])
})
