import test from 'node:test'
import { startTestRegistry } from '@tidelog/testkit'
import { examples } from '../examples.ts'
import { startBrokerProcess } from './harness.ts'

test('the examples of the guides run against Apache Kafka 4.3', async (t) => {
  const shareState = { 'share.coordinator.state.topic.replication.factor': '1', 'share.coordinator.state.topic.min.isr': '1' }
  const broker = await startBrokerProcess(t, shareState, 'kafka-4.3')
  for (const [name, example] of await examples()) {
    await t.test(name, async (each) => {
      const { url } = await startTestRegistry(each)
      await example(broker.bootstrap, url)
    })
  }
})
