import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { randomUuid, seededRandom, silentLogger, systemClock } from '@tidelog/core'
import { LogManager, lockLogDir, resolveLogConfig } from '@tidelog/storage'
import { batchOf, temporaryDirectory, unsyncedFileSystem } from '@tidelog/testkit'
import { runWith } from '../command-harness.ts'
import { verifyLog } from './verify-log.ts'

/** A log dir with t-0, two segments of two records, and u-0, empty. */
async function logDir(t: TestContext): Promise<string> {
  const dir = await temporaryDirectory(t)
  const options = { dirs: [dir], clock: systemClock, random: seededRandom(1), logger: silentLogger, fs: unsyncedFileSystem }
  const manager = await LogManager.open({ ...options, configOf: () => resolveLogConfig(new Map()) })
  for (const topic of ['t', 'u']) {
    const log = await manager.createLog(topic, 0, randomUuid(seededRandom(2)))
    if (topic === 'u') continue
    for (let number = 0; number < 4; number++) {
      await log.append(batchOf([{ value: `value ${number}` }]), { leaderEpoch: 0, origin: 'client' })
      if (number === 1) await log.roll()
    }
  }
  await manager.close()
  return dir
}

test('sound logs are counted, a line each', async (t) => {
  const { code, stdout, stderr } = await runWith(verifyLog, {}, '--log-dirs', await logDir(t))
  assert.deepEqual([code, stderr], [0, ''])
  assert.deepEqual(stdout.split('\n').sort(), [
    '',
    't-0: sound, 2 segments, 4 batches, 4 records, offsets 0 to 4',
    'u-0: sound, 1 segments, 0 batches, 0 records, offsets 0 to 0',
  ])
})

test('L11: a bit that flipped is reported with its place and exit code 1, and stays as it is', async (t) => {
  const dir = await logDir(t)
  const path = join(dir, 't-0', '00000000000000000000.log')
  const bytes = await readFile(path)
  bytes.writeUInt8(bytes.at(-1)! ^ 1, bytes.length - 1)
  await writeFile(path, bytes)
  const { code, stdout, stderr } = await runWith(verifyLog, {}, '--log-dirs', dir, '--topic', 't', '--output', 'json')
  assert.equal(code, 1)
  assert.match(stderr, /t-0\/00000000000000000000\.log: at \d+: a checksum is wrong/)
  assert.match(stdout, /"partition":\s*"t-0"/)
  assert.doesNotMatch(stdout, /u-0/)
  assert.deepEqual(await readFile(path), bytes)
})

test('beside a running broker the segments that it writes to are left out', async (t) => {
  const dir = await logDir(t)
  const lock = lockLogDir(dir)
  t.after(() => lock.release())
  const { code, stdout, stderr } = await runWith(verifyLog, {}, '--log-dirs', dir, '--topic', 't')
  assert.equal(code, 0)
  assert.match(stderr, /a broker is at work/)
  assert.equal(stdout, 't-0: sound, 1 segments, 2 batches, 2 records, offsets 0 to 2\n')
})

test('what is not a directory is refused', async () => {
  const { code, stderr } = await runWith(verifyLog, {}, '--log-dirs', '/nowhere/at/all')
  assert.deepEqual([code, stderr], [1, '/nowhere/at/all is not a directory\n'])
})
