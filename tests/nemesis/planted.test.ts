import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { connect } from '@tidelog/net'
import { Fetch, iterateBatches, readRecords } from '@tidelog/protocol'
import { createTopic } from '@tidelog/testkit'
import { IdempotentWriter, UnexpectedAnswer } from '../crash/idempotent-writer.ts'
import { until } from './battered-broker.ts'
import { HistoryChecker, type Verdict } from './checker.ts'
import type { DiskName } from './lying-disks.ts'
import { plantedBroker } from './planted-process.ts'
import { failFsync, failFsyncThenPower, kill, killAmidWrites, LIMIT_MS, type Scenario } from './planted-scenarios.ts'

const topic = 'planted'
const partitions = 2
/** Runs it under the load of an idempotent writer and has the history judged. */
async function judge(t: TestContext, disk: DiskName, { configs, act }: Scenario): Promise<Verdict> {
  const { broker, port, dir, control, end } = await plantedBroker(disk)
  const checker = new HistoryChecker()
  const event = { time: 0, process: 1, client: 'writer' }
  let acked = 0
  const send = (partition: number, value: number) => ({ ...event, op: 'send', topic, partition, value: `${partition}-${value}` }) as const
  const writer = new IdempotentWriter({
    host: '127.0.0.1',
    port,
    topic,
    partitions,
    observer: {
      sent: (partition, value) => checker.add({ ...send(partition, value), type: 'invoke' }),
      acked(partition, value, offset) {
        checker.add({ ...send(partition, value), type: 'ok', offset })
        acked++
      },
    },
  })
  t.after(async () => {
    writer.abandon()
    await end()
  })
  await broker.start()
  const connection = await connect({ host: '127.0.0.1', port, clientId: 'planted', requestTimeoutMs: 20_000 })
  await createTopic(connection, topic, { partitions, configs })
  connection.close()
  let hasEnded = false
  const writing = writer.run().catch((error: unknown) => {
    if (!(error instanceof UnexpectedAnswer)) throw error
    // A broker that has forgotten what it acked refuses what comes next.
    checker.add({ ...event, op: 'poll', type: 'fail', mode: 'assign', error: error.message })
  })
  void writing.finally(() => {
    hasEnded = true
  })
  const acks = (count: number): Promise<void> => {
    const goal = acked + count
    return until(() => acked >= goal || hasEnded, LIMIT_MS, `${count} more records are acked`)
  }
  const partitionDirs = () => Array.from({ length: partitions }, (_, partition) => join(dir, `${topic}-${partition}`))
  await act({ broker, control, partitionDirs, acks })
  writer.stop()
  await until(() => hasEnded, LIMIT_MS, 'everything is acked')
  await writing
  for (let partition = 0; partition < partitions; partition++) {
    const records = await readAll(port, partition)
    checker.add({ ...event, process: 2, client: 'reader', op: 'poll', type: 'ok', mode: 'final', records: [[topic, partition, records]] })
  }
  assert.ok(acked >= 300)
  return checker.finish()
}

async function readAll(port: number, partition: number): Promise<[offset: number, value: string, key: string][]> {
  const connection = await connect({ host: '127.0.0.1', port, clientId: 'planted', requestTimeoutMs: 20_000 })
  const found: [number, string, string][] = []
  try {
    for (let fetchOffset = 0; ; ) {
      const { responses } = await connection.send(Fetch, 11, {
        maxWaitMs: 0,
        minBytes: 0,
        topics: [{ topic, partitions: [{ partition, fetchOffset, partitionMaxBytes: 4 << 20 }] }],
        forgottenTopicsData: [],
      })
      const { errorCode, records, highWatermark } = responses[0]!.partitions[0]!
      assert.equal(errorCode, 0)
      if (fetchOffset >= highWatermark) return found
      for (const batch of iterateBatches(records!)) {
        for (const { offset, value } of readRecords(batch, { maxOutputBytes: 1 << 20 })) {
          const [, index, counter] = /^(\d+):(\d+):/.exec(String(value)) ?? []
          found.push([offset, `${index}-${counter}`, ''])
          fetchOffset = offset + 1
        }
      }
    }
  } finally {
    connection.close()
  }
}

test('L1, L18: kill -9, torn tails and failed fsyncs cost a sound broker nothing that it acked', async (t) => {
  for (const [disk, scenario] of [
    ['sound disk', killAmidWrites],
    ['failing fsync', failFsync],
    ['failing fsync', failFsyncThenPower],
  ] as const) {
    const { anomalies } = await judge(t, disk, scenario)
    assert.deepEqual(anomalies, [])
  }
})

test('planted: a broker that acks before it writes is caught by kill -9', async (t) => {
  const { counts } = await judge(t, 'ack before write', kill)
  assert.ok(counts.has('lost write') || counts.has('unseen'), String([...counts]))
})

test('planted: a broker whose recovery leaves the torn tail is caught by the next kill -9', async (t) => {
  const { counts } = await judge(t, 'skipped truncation', killAmidWrites)
  assert.ok(counts.has('lost write') || counts.has('unseen'), String([...counts]))
})

test('planted: a broker that calls a failed fsync again and believes it is caught', async (t) => {
  const { counts } = await judge(t, 'retried fsync', failFsync)
  assert.ok(counts.has('lost write') || counts.has('unseen'), String([...counts]))
})
