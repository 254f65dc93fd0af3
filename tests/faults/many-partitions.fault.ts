import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { test } from 'node:test'
import { CreateTopics, Metadata, Produce } from '@tidelog/protocol'
import { batchOf, connectTo } from '@tidelog/testkit'
import { type BrokerProcess, counts, startBrokerProcess, temporaryDir } from './broker-process.ts'

const PARTITIONS_OF_A_TOPIC = 10

const openFiles = ({ child }: BrokerProcess): number => readdirSync(`/proc/${child.pid}/fd`).length

test('X3: thousands of partitions of many topics survive kill -9, and fit into 500 MiB and 1,500 open files', async (t) => {
  const dir = temporaryDir(t)
  const topics = Array.from({ length: counts(200, 1000) }, (_none, index) => `many-${index}`)
  const first = await startBrokerProcess(dir)
  const connection = await connectTo(t, first)
  const created = await connection.send(CreateTopics, 5, {
    topics: topics.map((name) => ({ name, numPartitions: PARTITIONS_OF_A_TOPIC, replicationFactor: 1, assignments: [], configs: [] })),
    timeoutMs: 60_000,
    validateOnly: false,
  })
  assert.ok(created.topics.every(({ errorCode }) => errorCode === 0))
  const { responses } = await connection.send(Produce, 9, {
    transactionalId: null,
    acks: -1,
    timeoutMs: 60_000,
    topicData: topics.map((name) => ({
      name,
      partitionData: Array.from({ length: PARTITIONS_OF_A_TOPIC }, (_none, index) => ({ index, records: batchOf([{ value: name }]) })),
    })),
  })
  for (const { partitionResponses } of responses) for (const { errorCode } of partitionResponses) assert.equal(errorCode, 0)
  assert.ok(openFiles(first) < 1500, `${openFiles(first)} files are open`)
  first.child.kill('SIGKILL')
  await first.ended

  const again = await startBrokerProcess(dir)
  const found = await (await connectTo(t, again)).send(Metadata, 9, { topics: null })
  assert.equal(found.topics.filter(({ partitions }) => partitions.length === PARTITIONS_OF_A_TOPIC).length, topics.length)
  const leaderless = found.topics.flatMap(({ partitions }) => partitions).filter(({ leaderId }) => leaderId < 0)
  assert.equal(leaderless.length, 0)
  t.diagnostic(
    `${topics.length * PARTITIONS_OF_A_TOPIC} partitions: ${Math.round(again.memory().peak)} MiB, ${openFiles(again)} open files`,
  )
  assert.ok(again.memory().peak < 500, `${again.memory().peak} MiB`)
  assert.ok(openFiles(again) < 1500, `${openFiles(again)} files are open`)
})
