import { join } from 'node:path'
import test from 'node:test'
import { compatDir, exercise, kafkaJars, startBrokerProcess } from './harness.ts'

for (const version of ['4.3.0', '3.9.1'] as const) {
  test(`Java clients ${version}: topics, codecs, idempotence, groups, static members, commits, seeks, patterns, a restart`, async (t) => {
    const broker = await startBrokerProcess(t, { 'log.dirs': 'data,more' })
    const program = [join(compatDir, 'java', 'Exercise.java'), broker.bootstrap]
    await exercise('java', ['-Xmx256M', '-cp', await kafkaJars(version), ...program], { steps: 8, broker })
  })
}
