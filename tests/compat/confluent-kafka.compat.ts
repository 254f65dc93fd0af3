import test from 'node:test'
import { pythonWith, runPythonScript, startBrokerProcess } from './harness.ts'

test('confluent-kafka 2.16: topics, codecs, idempotence, groups, commits, seeks, patterns, a restart', async (t) => {
  const python = await pythonWith('confluent-kafka-2.16.0', ['confluent-kafka==2.16.0'])
  await runPythonScript(python, 'confluent.py', { steps: 8, broker: await startBrokerProcess(t) })
})
