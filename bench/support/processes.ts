/** Brokers as processes: are they there, what have they used, end them. */
import { type ChildProcess, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'

/** True once ApiVersions v0 is answered. */
export function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(Buffer.from('0000000d00120000000000010003616263', 'hex'))
    })
    const done = (answered: boolean) => {
      socket.destroy()
      resolve(answered)
    }
    socket.once('data', () => done(true))
    socket.once('error', () => done(false))
    socket.setTimeout(1000, () => done(false))
  })
}

/** Asks it to stop; ends it by force when it does not. */
export async function endProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), 15_000)
  await gone
  clearTimeout(timer)
}

/** @throws what it printed when it fails. */
export function mustSucceed(command: string, args: string[], cwd?: string): void {
  const { status, stderr } = spawnSync(command, args, { cwd, stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}\n${stderr}`)
}

function processTree(pid: number): number[] {
  const parents = new Map<number, number>()
  for (const entry of readdirSync('/proc')) {
    const stat = /^\d+$/.test(entry) ? statOf(Number(entry)) : undefined
    if (stat !== undefined) parents.set(Number(entry), Number(stat[1]))
  }
  const all = [pid]
  for (const parent of all) for (const [child, of] of parents) if (of === parent) all.push(child)
  return all
}

/** The fields of /proc/PID/stat behind the command's name: state, parent, …; undefined when the process is gone. */
function statOf(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch {
    return undefined
  }
}

/** Of a process and its children, since their start. */
export function cpuSeconds(pid: number): number {
  return processTree(pid).reduce((sum, one) => {
    const stat = statOf(one)
    return stat === undefined ? sum : sum + (Number(stat[11]) + Number(stat[12])) / 100
  }, 0)
}

/** The most memory that a process and its children had at a time, each by itself. */
export function peakRssMiB(pid: number): number {
  return processTree(pid).reduce((sum, one) => {
    try {
      return sum + Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${one}/status`, 'utf8'))?.[1] ?? 0) / 1024
    } catch {
      return sum
    }
  }, 0)
}
