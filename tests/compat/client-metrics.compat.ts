/** The list of the metrics of Java's clients that tests/metrics.test.ts compares ours with is what Kafka 4.3 has. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import test from 'node:test'
import { javaMetrics, parseMetrics } from '../java-metrics.ts'
import { compatDir, javaArgs, kafkaJars, startBrokerProcess, succeed } from './harness.ts'

test("the list of the metrics of Java's clients is Kafka 4.3's", async (t) => {
  const shareGroups = { 'share.coordinator.state.topic.replication.factor': '1', 'share.coordinator.state.topic.min.isr': '1' }
  const { bootstrap } = await startBrokerProcess(t, shareGroups, 'kafka-4.3')
  const program = join(compatDir, 'java', 'Metrics.java')
  const { stdout } = await succeed('java', [...javaArgs, '-Xmx256M', '-cp', await kafkaJars('4.3.0'), program, bootstrap, 'metrics'], {
    timeoutMs: 150_000,
  })
  const sorted = (metrics: ReturnType<typeof javaMetrics>) =>
    metrics.map(({ client, group, tags, name }) => `${client} ${group} ${tags} ${name}`).sort()
  assert.deepEqual(sorted(parseMetrics(stdout)), sorted(javaMetrics()))
})
