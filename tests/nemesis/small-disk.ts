import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, rmSync, writeSync } from 'node:fs'

/** A tmpfs of a size of its own, in a mount namespace of its own: it goes with the last process in it, whatever becomes of this one. */
export interface SmallDisk {
  /** The command that runs another one where the disk is mounted. */
  readonly enter: readonly string[]
  /** The same directory, seen from here. */
  readonly outside: string
  /** Writes to a ballast file until not a byte is left. */
  fill(): void
  free(): void
  close(): Promise<void>
}

/** Mounts one at `dir`. @returns Why it cannot be, as text: it takes root and a machine that lets it mount. */
export async function mountSmallDisk(dir: string, sizeMiB: number): Promise<SmallDisk | string> {
  const script = `mount -t tmpfs -o size=${sizeMiB}m tmpfs "$0" && echo mounted && exec cat`
  // It ends when its standard input does, which it does with this process.
  const keeper = spawn('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script, dir], { stdio: ['pipe', 'pipe', 'pipe'] })
  let said = ''
  keeper.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const ended = new Promise<string>((resolve) => {
    keeper.once('error', (error) => resolve(error.message))
    keeper.once('close', (code) => resolve(said.trim() || `unshare ended with ${code}`))
  })
  const problem = await Promise.race([ended, once(keeper.stdout, 'data').then(() => undefined)])
  if (problem !== undefined) return problem
  const outside = `/proc/${keeper.pid}/root${dir}`
  const ballast = `${outside}/ballast`
  return {
    enter: ['nsenter', '--target', String(keeper.pid), '--mount'],
    outside,
    fill() {
      const fd = openSync(ballast, 'a')
      try {
        for (const sizeBytes of [1 << 20, 4096]) {
          const chunk = Buffer.alloc(sizeBytes)
          try {
            for (;;) writeSync(fd, chunk)
          } catch (error) {
            if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
          }
        }
      } finally {
        closeSync(fd)
      }
    },
    free: () => rmSync(ballast, { force: true }),
    async close() {
      keeper.stdin.end()
      await ended
    },
  }
}
