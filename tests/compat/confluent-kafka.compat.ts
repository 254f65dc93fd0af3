import { join } from 'node:path'
import test from 'node:test'
import { compatDir, exercise, pythonWith, startBrokerProcess } from './harness.ts'

test('confluent-kafka 2.16: topics, codecs, idempotence, groups, commits, seeks, patterns, transactions, KIP-848, a restart', async (t) => {
  const python = await pythonWith('confluent-kafka-2.16.0', ['confluent-kafka==2.16.0'])
  const broker = await startBrokerProcess(t)
  await exercise(python, [join(compatDir, 'python', 'confluent.py'), broker.bootstrap], { steps: 11, broker })
})
