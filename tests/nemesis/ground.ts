import { closeSync, mkdirSync, openSync } from 'node:fs'
import { join } from 'node:path'
import type { Random } from '@tidelog/core'
import { freePort } from '@tidelog/testkit'
import { root, run } from '../compat/harness.ts'
import { BatteredBroker } from './battered-broker.ts'
import { mountSmallDisk, type SmallDisk } from './small-disk.ts'

/** What the faults work on. */
export interface Ground {
  readonly broker: BatteredBroker
  /** The log dir, seen from here. */
  readonly dataDir: string
  readonly random: Random
  readonly disk: SmallDisk | undefined
  /** While this file exists, fsync fails. */
  readonly fsyncFlag: string | undefined
  /** What this machine does not allow, and why. */
  readonly forbidden: readonly string[]
  /** Ends the broker, and the mount with it. */
  close(): Promise<void>
}

/** A broker that does not run yet, and the means to hurt it, in the folder `work`. */
export async function prepareGround(work: string, { seconds, random }: { seconds: number; random: Random }): Promise<Ground> {
  const forbidden: string[] = []
  const data = join(work, 'data')
  mkdirSync(data)
  const fsync = await buildFsyncShim(work, forbidden)
  // Room for the load, of about 10 MiB a minute.
  const mounted = await mountSmallDisk(data, 128 + Math.ceil(seconds / 2))
  const disk = typeof mounted === 'string' ? undefined : mounted
  if (typeof mounted === 'string') forbidden.push(`a full disk: ${mounted}`)
  const logFd = openSync(join(work, 'broker.log'), 'a')
  const broker = await prepareBroker(data, { disk, fsync, logFd })
  return {
    broker,
    dataDir: disk?.outside ?? data,
    random,
    disk,
    fsyncFlag: fsync?.flag,
    forbidden,
    async close() {
      try {
        await broker.kill()
      } finally {
        closeSync(logFd)
        await disk?.close()
      }
    },
  }
}

export interface FsyncShim {
  readonly library: string
  readonly flag: string
}

/** Builds the library under which fsync can be made to fail. Undefined, with the reason among `forbidden`, where that cannot be. */
export async function buildFsyncShim(work: string, forbidden: string[]): Promise<FsyncShim | undefined> {
  const library = join(work, 'failing-fsync.so')
  const source = join(root, 'tests', 'nemesis', 'failing-fsync.c')
  const compiling = run('cc', ['-shared', '-fPIC', '-O1', '-o', library, source, '-ldl'])
  const { code, stderr } = await compiling.catch((error: Error) => ({ code: 1, stderr: error.message }))
  if (code === 0) return { library, flag: join(work, 'fail-fsync') }
  forbidden.push(`an fsync error: ${stderr.trim().split('\n')[0]}`)
  return undefined
}

async function prepareBroker(
  data: string,
  { disk, fsync, logFd }: { disk: SmallDisk | undefined; fsync: FsyncShim | undefined; logFd: number },
): Promise<BatteredBroker> {
  const port = await freePort()
  const settings = {
    listeners: `PLAINTEXT://127.0.0.1:${port}`,
    'log.dirs': data,
    'offsets.topic.num.partitions': '1',
    'group.initial.rebalance.delay.ms': '0',
    'transaction.state.log.num.partitions': '2',
    // What a crashed producer has left open is aborted between two restarts, as
    // a member that is gone is noticed.
    'transaction.abort.timed.out.transaction.cleanup.interval.ms': '500',
    'group.min.session.timeout.ms': '1000',
    'log.flush.offset.checkpoint.interval.ms': '2000',
    'log.retention.ms': '-1',
  }
  const overrides = Object.entries(settings).flatMap(([name, value]) => ['--override', `${name}=${value}`])
  // It does not outlive this process, where the machine has a command that sees to it.
  const hasSetpriv = (await run('setpriv', ['--version']).catch(() => ({ code: 1 }))).code === 0
  const bound = hasSetpriv ? ['setpriv', '--pdeathsig', 'KILL', '--'] : []
  return new BatteredBroker({
    port,
    command: [...(disk?.enter ?? []), ...bound, process.execPath, join(root, 'bin', 'tidelog'), 'start', ...overrides],
    env: fsync === undefined ? {} : { LD_PRELOAD: fsync.library, NEMESIS_FAIL_FSYNC: fsync.flag, UV_USE_IO_URING: '0' },
    logFd,
  })
}
