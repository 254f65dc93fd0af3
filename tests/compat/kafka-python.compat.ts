import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { compatDir, exercise, pythonWith, startBrokerProcess, succeed } from './harness.ts'

/** Codecs and msgpack are separate packages for kafka-python. */
const codecs = ['crc32c', 'lz4', 'python-snappy', 'zstandard', 'msgpack', 'six']

for (const version of ['3.0.12', '2.0.2']) {
  test(`kafka-python ${version}: topics, codecs, groups, commits, seeks, patterns, a restart, the walk-throughs${version.startsWith('3') ? ', transactions' : ''}`, async (t) => {
    const python = await pythonWith(`kafka-python-${version}`, [`kafka-python==${version}`, ...codecs])
    const broker = await startBrokerProcess(t)
    await exercise(python, [join(compatDir, 'python', 'kafka_python.py'), broker.bootstrap], { steps: 12, broker })
  })
}

test('the names that docs/guides/from-kafka-python.md is compared with are those of kafka-python 3.0.12', async () => {
  const python = await pythonWith('kafka-python-3.0.12', ['kafka-python==3.0.12', ...codecs])
  const { stdout } = await succeed(python, [join(compatDir, 'python', 'kafka_python_names.py')])
  assert.deepEqual(JSON.parse(stdout), JSON.parse(readFileSync(join(compatDir, 'python', 'kafka-python-names.json'), 'utf8')))
})
