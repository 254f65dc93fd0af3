import { join } from 'node:path'
import test from 'node:test'
import { compatDir, exercise, pythonWith, startBrokerProcess } from './harness.ts'

/** Codecs and msgpack are separate packages for kafka-python. */
const codecs = ['crc32c', 'lz4', 'python-snappy', 'zstandard', 'msgpack', 'six']

for (const version of ['3.0.12', '2.0.2']) {
  test(`kafka-python ${version}: topics, codecs, groups, commits, seeks, patterns, a restart, the walk-throughs${version.startsWith('3') ? ', transactions' : ''}`, async (t) => {
    const python = await pythonWith(`kafka-python-${version}`, [`kafka-python==${version}`, ...codecs])
    const broker = await startBrokerProcess(t)
    await exercise(python, [join(compatDir, 'python', 'kafka_python.py'), broker.bootstrap], { steps: 12, broker })
  })
}
