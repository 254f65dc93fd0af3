import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { connectTo, createTopic } from '@tidelog/testkit'
import { buildFsyncShim } from '../nemesis/ground.ts'
import { mountSmallDisk } from '../nemesis/small-disk.ts'
import { type BrokerProcess, startBrokerProcess, temporaryDir } from './broker-process.ts'
import { ackedUntil, codeOf, fetchFrom, valuesOf } from './single-producer.ts'

/** The values that a broker on `dir` has, started for it. */
async function valuesAfterRestart(t: TestContext, dir: string, through: readonly string[] = []): Promise<string[]> {
  const broker = await startBrokerProcess(dir, { through })
  return valuesOf(await connectTo(t, broker))
}

/** All that was acked, in order, and at most one record more, whose answer was lost. */
function assertKept(found: readonly string[], acked: readonly string[]): void {
  assert.deepEqual(found.slice(0, acked.length), acked)
  assert.ok(found.length <= acked.length + 1, `${found.length} records, ${acked.length} were acked`)
}

async function assertFailStop({ ended }: BrokerProcess): Promise<void> {
  const { code, signal, stderr } = await ended
  assert.ok(code !== 0 && signal === null, `ended with ${code} ${signal}`)
  assert.doesNotMatch(stderr, /unhandled|uncaught/i)
}

test('L17: a full tmpfs: the append is refused, the log ends behind a whole batch, a start on the full disk takes nothing, with room again every acked record is there', async (t) => {
  const dir = temporaryDir(t)
  const disk = await mountSmallDisk(dir, 48)
  if (typeof disk === 'string') return t.skip(`no disk can be mounted: ${disk}`)
  t.after(() => disk.close())
  const broker = await startBrokerProcess(dir, { through: disk.enter })
  const connection = await connectTo(t, broker)
  await createTopic(connection, 'disk')
  const acked = await ackedUntil(connection, {
    bytes: 5000,
    limit: 20_000,
    onAck: (count) => {
      if (count === 500) disk.fill()
    },
  })
  assert.ok(acked.length >= 500 && acked.length < 20_000, `${acked.length} records until the disk was full`)
  await assertFailStop(broker)
  const log = readFileSync(join(disk.outside, 'disk-0', '00000000000000000000.log'))
  let at = 0
  while (at + 12 <= log.length) at += 12 + log.readInt32BE(at + 8)
  assert.equal(at, log.length, 'the log ends behind a whole batch')
  // It serves what is there, or says why not; it does no harm.
  await startBrokerProcess(dir, { through: disk.enter }).then(
    async (full) => {
      const connection = await connectTo(t, full)
      const { errorCode } = await fetchFrom(connection, 0)
      t.diagnostic(`started on the full disk, readers are answered ${errorCode}`)
      if (errorCode === 0) assertKept(await valuesOf(connection), acked)
      else assert.ok(errorCode === 56 || errorCode === 6, `error ${errorCode}`)
      full.child.kill('SIGKILL')
      await full.ended
    },
    (error: Error) => assert.match(error.message, /ENOSPC|no space/i),
  )
  disk.free()
  assertKept(await valuesAfterRestart(t, dir, disk.enter), acked)
})

test('L18: an fsync that fails and would succeed the next time ends the broker of a single directory: with flush.messages=1 in the append, else behind a roll', async (t) => {
  const forbidden: string[] = []
  const shim = await buildFsyncShim(temporaryDir(t), forbidden)
  if (shim === undefined) return t.skip(forbidden[0])
  const through = ['env', `LD_PRELOAD=${shim.library}`, `NEMESIS_FAIL_FSYNC=${shim.flag}`, 'UV_USE_IO_URING=0']
  const cases: Record<string, string>[] = [{ 'log.flush.interval.messages': '1' }, { 'log.segment.bytes': '1048576' }]
  for (const overrides of cases) {
    const dir = temporaryDir(t)
    const broker = await startBrokerProcess(dir, { through, overrides })
    const connection = await connectTo(t, broker)
    await createTopic(connection, 'disk')
    const hits = `${shim.flag}.hits`
    rmSync(hits, { force: true })
    const acked = await ackedUntil(connection, {
      bytes: 5000,
      limit: 20_000,
      onAck: (count) => {
        if (count === 100) writeFileSync(shim.flag, '')
        if (existsSync(hits)) rmSync(shim.flag, { force: true })
      },
    })
    rmSync(shim.flag, { force: true })
    assert.ok(existsSync(hits), 'an fsync failed')
    assert.ok(acked.length >= 100 && acked.length < 20_000, `${acked.length} were acked`)
    await assertFailStop(broker)
    assertKept(await valuesAfterRestart(t, dir), acked)
  }
})

test('L19: a segment that the disk cannot read is 56 for its readers; its partition takes records, others are served', async (t) => {
  const traced = spawnSync('strace', ['-qq', '-o', '/dev/null', '-f', 'true'], { stdio: 'ignore' })
  if (traced.status !== 0) return t.skip('there is no strace, or it may not trace')
  const dir = temporaryDir(t)
  const writer = await startBrokerProcess(dir, { overrides: { 'log.segment.bytes': '1048576' } })
  const writing = await connectTo(t, writer)
  for (const topic of ['disk', 'other']) await createTopic(writing, topic)
  const acked = await ackedUntil(writing, { bytes: 10_000, limit: 250 })
  assert.equal(await codeOf(writing, 'beside it', 'other'), 0)
  writer.child.kill('SIGTERM')
  await writer.ended
  const segments = readdirSync(join(dir, 'disk-0')).filter((name) => name.endsWith('.log'))
  assert.ok(segments.length >= 3, segments.join(' '))
  const through = ['strace', '-D', '-f', '-qq', '-o', '/dev/null', '-P', join(dir, 'disk-0', segments[0]!)]
  through.push('-e', 'trace=pread64,preadv', '-e', 'inject=pread64,preadv:error=EIO')
  const broker = await startBrokerProcess(dir, { through })
  const connection = await connectTo(t, broker)
  assert.equal((await fetchFrom(connection, 0)).errorCode, 56)
  assert.deepEqual((await fetchFrom(connection, 240)).values, acked.slice(240))
  assert.deepEqual((await fetchFrom(connection, 0, 'other')).values, ['beside it'])
  assert.equal(await codeOf(connection, 'behind it'), 0)
  assert.equal((await fetchFrom(connection, 0)).errorCode, 56)
  broker.child.kill('SIGKILL')
})

/** A preloaded module that takes memory without end once a file is there: `make` says of what kind. */
function leaking(flag: string, make: string): string[] {
  const source = `import{existsSync}from'node:fs';const kept=[];setInterval(()=>{if(existsSync(${JSON.stringify(flag)}))for(;;)kept.push(${make})},20).unref()`
  return ['env', `NODE_OPTIONS=--max-old-space-size=64 --import=data:text/javascript,${encodeURIComponent(source)}`]
}

/** Load until the broker dies of what begins behind the 200th ack; then all of it must be there. */
async function dyingUnderLoad(t: TestContext, dir: string, through: readonly string[], flag: string): Promise<{ signal: string | null }> {
  const broker = await startBrokerProcess(dir, { through })
  const connection = await connectTo(t, broker)
  await createTopic(connection, 'disk')
  const acked = await ackedUntil(connection, {
    bytes: 1000,
    limit: 1_000_000,
    onAck: (count) => {
      if (count === 200) writeFileSync(flag, '')
    },
  })
  assert.ok(acked.length >= 200)
  const { signal, code } = await broker.ended
  rmSync(flag, { force: true })
  assertKept(await valuesAfterRestart(t, dir), acked)
  return { signal: signal ?? (code === null ? null : String(code)) }
}

test('X6: a broker that V8 aborts for want of heap has every acked record when it is started again', async (t) => {
  const dir = temporaryDir(t)
  const flag = join(temporaryDir(t), 'leak')
  const { signal } = await dyingUnderLoad(t, dir, leaking(flag, 'new Array(1000).fill({})'), flag)
  assert.ok(signal === 'SIGABRT' || signal === '134', `ended by ${signal}`)
})

test('X6: a broker that the kernel kills for its memory has every acked record when it is started again', async (t) => {
  const groups = ['/sys/fs/cgroup/memory', '/sys/fs/cgroup'].filter((path) => existsSync(path))
  const group = join(groups[0] ?? '/nowhere', `tidelog-fault-${process.pid}`)
  try {
    mkdirSync(group)
    t.after(() => rmdirSync(group))
    const limit = ['memory.limit_in_bytes', 'memory.max'].find((name) => existsSync(join(group, name)))
    if (limit === undefined) return t.skip('no memory cgroup may be made here')
    writeFileSync(join(group, limit), String(256 << 20))
  } catch (error) {
    return t.skip(`no memory cgroup may be made here: ${(error as Error).message}`)
  }
  const dir = temporaryDir(t)
  const flag = join(temporaryDir(t), 'leak')
  const through = ['sh', '-c', `echo $$ > ${group}/cgroup.procs && exec "$@"`, 'sh', ...leaking(flag, 'Buffer.alloc(1<<20,1)')]
  const { signal } = await dyingUnderLoad(t, dir, through, flag)
  assert.ok(signal === 'SIGKILL' || signal === '137', `ended by ${signal}`)
})
