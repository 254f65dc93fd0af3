import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { until } from './battered-broker.ts'
import type { Verdict } from './checker.ts'
import { buildDriver, Driver, Recorder } from './load.ts'
import type { DiskName } from './lying-disks.ts'
import { plantedBroker } from './planted-process.ts'
import { failFsync, kill, killAmidWrites, LIMIT_MS, type Scenario } from './planted-scenarios.ts'

/** Records a second: enough for some to be on their way whenever something happens. */
const RATE = 1000

/** Runs it under the load of franz-go producers and a reader, and has the history judged. */
async function judge(t: TestContext, disk: DiskName, { act }: Scenario): Promise<Verdict> {
  const driverPath = await buildDriver()
  const { broker, port, work, dir, control, end } = await plantedBroker(disk)
  const recorder = new Recorder(join(work, 'history.jsonl'))
  let driver: Driver | undefined
  t.after(async () => {
    await driver?.kill()
    await end()
  })
  await broker.start()
  driver = new Driver(driverPath, { port, rate: RATE, seed: 1, isBrief: true }, recorder)
  const acks = (count: number): Promise<void> => {
    const goal = recorder.acked + count
    return until(() => recorder.acked >= goal, LIMIT_MS, `${count} more records are acked`)
  }
  const partitionDirs = () =>
    readdirSync(dir)
      .filter((name) => name.startsWith('nemesis-'))
      .map((name) => join(dir, name))
  await act({ broker, control, partitionDirs, acks })
  await driver.finish()
  return recorder.finish()
}

/** How loss shows: the reader has often read what goes, and then it is the producers who are told, or others' records that take its offsets. */
const losses = ['lost write', 'unseen', 'loss reported', 'inconsistent offset'] as const
const isCaught = ({ counts }: Verdict): void =>
  assert.ok(
    losses.some((what) => counts.has(what)),
    String([...counts]),
  )

test('under franz-go, kill -9 and torn tails cost a sound broker nothing that it acked', async (t) => {
  assert.deepEqual((await judge(t, 'sound disk', killAmidWrites)).anomalies, [])
})

test('planted: franz-go sees that a broker acks before it writes, after kill -9', async (t) => {
  isCaught(await judge(t, 'ack before write', kill))
})

test('planted: franz-go sees that recovery has left a torn tail, after the next kill -9', async (t) => {
  isCaught(await judge(t, 'skipped truncation', killAmidWrites))
})

test('planted: franz-go sees that a failed fsync was called again and believed, after a power cut', async (t) => {
  isCaught(await judge(t, 'retried fsync', failFsync))
})
