import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

const tidelog = fileURLToPath(new URL('../../../bin/tidelog', import.meta.url))

/** `quick` for every run, `full` under --full. */
export const counts = (quick: number, full: number): number => (process.env.TIDELOG_FULL_FAULTS === '1' ? full : quick)

/** Ends the broker that works in a directory. */
const endings = new Map<string, () => Promise<unknown>>()

/** A directory that goes with the test, behind the last broker in it. */
export function temporaryDir(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'tidelog-fault-'))
  t.after(async () => {
    await endings.get(dir)?.()
    rmSync(dir, { recursive: true, force: true })
  })
  return dir
}

export interface BrokerProcess {
  readonly child: ChildProcess
  readonly host: string
  readonly port: number
  /** What it ended with, once it has. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null; stderr: string }>
  /** Resident memory in MiB, now and at its highest. Linux. */
  memory(): { now: number; peak: number }
}

/**
 * Starts a broker as a process of its own in a `temporaryDir`, with which it goes.
 * @param options.through A command that runs another one: `['sh', '-c', 'ulimit -f 100; exec "$@"', 'sh']`, `['strace', …]`.
 * @throws Error with what it said when it ends before it serves
 */
export async function startBrokerProcess(
  dir: string,
  { overrides = {}, through = [] }: { overrides?: Record<string, string>; through?: readonly string[] } = {},
): Promise<BrokerProcess> {
  const settings = { listeners: 'PLAINTEXT://127.0.0.1:0', 'log.dirs': dir, 'offsets.topic.num.partitions': '1', ...overrides }
  const words = Object.entries(settings).flatMap(([name, value]) => ['--override', `${name}=${value}`])
  const [command, ...args] = [...through, process.execPath, tidelog, 'start', ...words]
  const child = spawn(command!, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-20_000)
  })
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal, stderr }) as Awaited<BrokerProcess['ended']>)
  endings.set(dir, () => {
    child.kill('SIGKILL')
    return ended
  })
  const said = once(child.stdout.setEncoding('utf8'), 'data').then(([line]) => String(line))
  const line = await Promise.race([said, ended.then(({ code }) => Promise.reject(new Error(`the broker ended with ${code}\n${stderr}`)))])
  const port = Number(/ 127\.0\.0\.1:(\d+) /.exec(line)?.[1])
  return {
    child,
    host: '127.0.0.1',
    port,
    ended,
    memory() {
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8')
      const mib = (name: string) => Math.round(Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]) / 1024)
      return { now: mib('VmRSS'), peak: mib('VmHWM') }
    },
  }
}
