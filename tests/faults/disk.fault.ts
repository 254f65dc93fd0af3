import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { seededRandom } from '@tidelog/core'
import { connectTo, createTopic } from '@tidelog/testkit'
import { killRounds } from '../crash/kill-rounds.ts'
import { counts, startBrokerProcess, temporaryDir } from './broker-process.ts'
import { codeOf, valuesOf } from './single-producer.ts'

const has = (command: string, ...args: string[]): boolean => spawnSync(command, args, { stdio: 'ignore' }).status === 0

test('L2, X5: a write that a file limit cuts short is not acked; the broker stops itself with an exit code; a restart has every acked record', async (t) => {
  const dir = temporaryDir(t)
  // ulimit counts in blocks of 512 bytes, or of 1024 in bash run as such.
  const broker = await startBrokerProcess(dir, {
    overrides: { 'log.index.size.max.bytes': '100000' },
    through: ['sh', '-c', 'ulimit -f 400; exec "$@"', 'sh'],
  })
  const connection = await connectTo(t, broker)
  await createTopic(connection, 'disk')
  const acked: string[] = []
  for (let index = 0; index < 2000; index++) {
    const value = `${index}:${'x'.repeat(700)}`
    const code = await codeOf(connection, value)
    if (code !== 0) {
      assert.ok(code === undefined || code === 56, `error ${code}`)
      break
    }
    acked.push(value)
  }
  assert.ok(acked.length > 50 && acked.length < 2000, `${acked.length} records until the limit`)
  const { code, signal, stderr } = await broker.ended
  assert.ok(code !== 0 && signal === null, `ended with ${code} ${signal}`)
  assert.doesNotMatch(stderr, /unhandled|uncaught/i)
  const again = await connectTo(t, await startBrokerProcess(dir))
  assert.deepEqual(await valuesOf(again), acked)
})

test('L1: killed by strace at the n-th write to a log, what was acked is there and what was not is whole or absent', async (t) => {
  if (!has('strace', '-V')) return t.skip('there is no strace')
  if (!has('strace', '-qq', '-o', '/dev/null', '-f', 'true')) return t.skip('strace may not trace')
  for (let round = 0; round < counts(3, 20); round++) {
    const dir = temporaryDir(t)
    const when = 3 + round * 2
    const through = ['env', 'UV_THREADPOOL_SIZE=1', 'strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=pwrite64,pwritev']
    through.push('-P', `${dir}/disk-0/00000000000000000000.log`, '-e', `inject=pwrite64,pwritev:signal=KILL:when=${when}`)
    const broker = await startBrokerProcess(dir, { through })
    const connection = await connectTo(t, broker)
    await createTopic(connection, 'disk')
    const acked: string[] = []
    for (let index = 0; index < 100; index++) {
      const value = `${index}:${'x'.repeat(300)}`
      if ((await codeOf(connection, value)) !== 0) break
      acked.push(value)
    }
    assert.ok(acked.length < 100, 'it was killed')
    await broker.ended
    const found = await valuesOf(await connectTo(t, await startBrokerProcess(dir)))
    assert.deepEqual(found.slice(0, acked.length), acked)
    assert.ok(found.length <= acked.length + 1)
  }
})

test('L1: kill -9 under acks=all load, again and again: no acked record is lost, none is doubled', async (t) => {
  const { ackedRecords, readyMs } = await killRounds({ rounds: counts(5, 20), random: seededRandom(Date.now()) })
  t.diagnostic(`${ackedRecords} records acked; ready again after ${readyMs.map(Math.round).join(', ')} ms`)
  // The middle one: a machine with other work to do is slow now and then.
  const usualMs = readyMs.sort((a, b) => a - b)[readyMs.length >> 1]!
  assert.ok(usualMs < 2000, `ready again only after ${usualMs} ms`)
})
