import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Random } from '@tidelog/core'
import { connect } from '@tidelog/net'
import { CreateTopics, Fetch, iterateBatches, readRecords } from '@tidelog/protocol'
import { IdempotentWriter } from './idempotent-writer.ts'

const tidelog = fileURLToPath(new URL('../../../bin/tidelog', import.meta.url))
const topic = 'crash'
const partitions = 3
const host = '127.0.0.1'

export interface KillReport {
  rounds: number
  ackedRecords: number
  /** From the start of the process to its line that it serves. */
  readyMs: number[]
}

/**
 * Kills a broker (kill −9) `rounds` times under the acks=all load of an idempotent producer, starts it again on what is left, and reads everything
 * back: what was acked must be there, once, at the offset of its ack, in the order of sending.
 */
export async function killRounds({ rounds, random }: { rounds: number; random: Random }): Promise<KillReport> {
  const dir = mkdtempSync(join(tmpdir(), 'tidelog-crash-'))
  const port = await freePort()
  const readyMs: number[] = []
  let broker = await start(dir, port)
  try {
    await createTopic(port)
    const writer = new IdempotentWriter({ host, port, topic, partitions })
    const writing = writer.run()
    writing.catch(() => {}) // looked at below, when the rounds are over
    for (let round = 0; round < rounds; round++) {
      const before = writer.ackedCount
      await until(() => writer.ackedCount > before + 200, 30_000, 'the writer makes progress')
      await delay(random.int(300))
      await end(broker.child, 'SIGKILL')
      broker = await start(dir, port)
      readyMs.push(broker.readyMs)
    }
    writer.stop()
    await writing
    await assertNothingLost(port, writer)
    return { rounds, ackedRecords: writer.ackedCount, readyMs }
  } finally {
    await end(broker.child, 'SIGKILL')
    rmSync(dir, { recursive: true, force: true })
  }
}

async function createTopic(port: number): Promise<void> {
  const connection = await connect({ host, port, clientId: 'crash-driver', requestTimeoutMs: 20_000 })
  const answer = await connection.send(CreateTopics, 5, {
    topics: [
      {
        name: topic,
        numPartitions: partitions,
        replicationFactor: 1,
        assignments: [],
        configs: [{ name: 'segment.bytes', value: '1048576' }],
      },
    ],
    timeoutMs: 10_000,
  })
  connection.close()
  assert.equal(answer.topics[0]?.errorCode, 0)
}

async function assertNothingLost(port: number, writer: IdempotentWriter): Promise<void> {
  for (let partition = 0; partition < partitions; partition++) {
    const found = await readPartition(port, partition)
    const offsetOf = new Map<number, number>()
    let last = -1
    for (const { offset, value } of found) {
      const counter = Number(/^(\d+):(\d+):/.exec(value)?.[2])
      assert.ok(!offsetOf.has(counter), `partition ${partition}: value ${counter} is at offsets ${offsetOf.get(counter)} and ${offset}`)
      assert.ok(counter > last, `partition ${partition}: value ${counter} at offset ${offset} comes behind ${last}`)
      last = counter
      offsetOf.set(counter, offset)
    }
    for (const [value, offset] of writer.acked(partition)) {
      assert.equal(offsetOf.get(value), offset, `partition ${partition}: value ${value} was acked at offset ${offset}`)
    }
  }
}

async function readPartition(port: number, partition: number): Promise<{ offset: number; value: string }[]> {
  const connection = await connect({ host, port, clientId: 'crash-driver', requestTimeoutMs: 20_000 })
  const found: { offset: number; value: string }[] = []
  try {
    for (let fetchOffset = 0; ; ) {
      const answer = await connection.send(Fetch, 11, {
        maxWaitMs: 0,
        minBytes: 0,
        maxBytes: 8 << 20,
        topics: [{ topic, partitions: [{ partition, fetchOffset, partitionMaxBytes: 8 << 20 }] }],
        forgottenTopicsData: [],
      })
      const { errorCode, records, highWatermark } = answer.responses[0]!.partitions[0]!
      assert.equal(errorCode, 0)
      if (fetchOffset >= highWatermark || records === null) return found
      for (const batch of iterateBatches(records)) {
        for (const { offset, value } of readRecords(batch, { maxOutputBytes: 1 << 20 })) {
          assert.equal(offset, fetchOffset, 'offsets have no gaps')
          found.push({ offset, value: value?.toString() ?? '' })
          fetchOffset = offset + 1
        }
      }
    }
  } finally {
    connection.close()
  }
}

async function start(dir: string, port: number): Promise<{ child: ChildProcess; readyMs: number }> {
  const startedAt = performance.now()
  const overrides = [`listeners=PLAINTEXT://${host}:${port}`, `log.dirs=${dir}`].flatMap((override) => ['--override', override])
  const child = spawn(process.execPath, [tidelog, 'start', ...overrides], { stdio: ['ignore', 'pipe', 'pipe'] })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-5000)
  })
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve())
    child.once('exit', (code) => reject(new Error(`the broker ended with ${code} before it served\n${stderr}`)))
  })
  return { child, readyMs: performance.now() - startedAt }
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill(signal)
  await gone
}

const delay = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

async function until(holds: () => boolean, timeoutMs: number, what: string): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!holds()) {
    assert.ok(performance.now() < deadline, what)
    await delay(10)
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(0, host, () => {
      const address = server.address()
      server.close(() => (address !== null && typeof address === 'object' ? resolve(address.port) : reject(new Error('no free port'))))
    })
  })
}
