import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { Metadata } from '@tidelog/protocol'
import { connectTo, startTestBroker } from '@tidelog/testkit'
import { kafkaTool, root, run, startBrokerProcess } from './harness.ts'

process.env.AGAINST = 'kafka' // what startBrokerProcess starts: a real one, in every run

test('L22: a directory that a running Apache Kafka works in is refused with one line and not touched; once it has stopped, it is taken over', async (t) => {
  const kafka = await startBrokerProcess(t)
  const topics = (args: string[]) =>
    kafkaTool('4.3.0', 'org.apache.kafka.tools.TopicCommand', ['--bootstrap-server', kafka.bootstrap, ...args], { timeoutMs: 90_000 })
  assert.equal((await topics(['--create', '--topic', 'of-kafka'])).code, 0)
  const start = (): ReturnType<typeof run> => {
    const overrides = ['listeners=PLAINTEXT://127.0.0.1:0', `log.dirs=${kafka.dir}`].flatMap((word) => ['--override', word])
    return run(process.execPath, [join(root, 'bin', 'tidelog'), 'start', ...overrides], { timeoutMs: 30_000 })
  }
  const before = (await readdir(kafka.dir)).sort()
  const { code, stdout, stderr } = await start()
  assert.deepEqual([code, stdout], [1, ''])
  assert.match(stderr, /^Cannot start: .*lock.*\n$/)
  assert.deepEqual((await readdir(kafka.dir)).sort(), before)
  assert.match((await topics(['--list'])).stdout, /of-kafka/, 'Kafka serves on')
  await kafka.stop()
  const ours = await startTestBroker({ config: { 'log.dirs': kafka.dir } })
  t.after(() => ours.close())
  const { topics: found } = await (await connectTo(t, ours)).send(Metadata, 9, { topics: null })
  assert.ok(found.some(({ name }) => name === 'of-kafka'))
})
