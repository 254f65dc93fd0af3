import test from 'node:test'
import { pythonWith, runPythonScript, startBrokerProcess } from './harness.ts'

/** Codecs and msgpack are separate packages for kafka-python. */
const codecs = ['crc32c', 'lz4', 'python-snappy', 'zstandard', 'msgpack', 'six']

for (const version of ['3.0.12', '2.0.2']) {
  test(`kafka-python ${version}: topics, codecs, groups, commits, seeks, patterns, a restart, the walk-throughs`, async (t) => {
    const python = await pythonWith(`kafka-python-${version}`, [`kafka-python==${version}`, ...codecs])
    await runPythonScript(python, 'kafka_python.py', { steps: 11, broker: await startBrokerProcess(t) })
  })
}
