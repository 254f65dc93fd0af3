/** The load driver: franz-go, a client that nobody here wrote. */
import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { mustSucceed } from './processes.ts'

export const root = fileURLToPath(new URL('../../..', import.meta.url))
export const cacheDir = join(homedir(), '.cache', 'tidelog-bench')

/** Builds it where it is not built yet. Needs Go. @returns Where it is. */
export function buildKbench(): string {
  mkdirSync(cacheDir, { recursive: true })
  const path = join(cacheDir, 'kbench')
  mustSucceed('go', ['build', '-o', path, '.'], join(root, 'bench', 'kbench'))
  return path
}

/** One run; what it printed, a line of JSON. @throws when it fails, or when records were lost. */
export async function runKbench(kbench: string, args: readonly string[]): Promise<Record<string, unknown>> {
  const text = await new Promise<string>((resolve, reject) => {
    const child = spawn(kbench, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    let printed = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      printed += chunk
    })
    child.on('close', (code) => (code === 0 ? resolve(printed) : reject(new Error(`kbench ${args.join(' ')} ended with ${code}`))))
  })
  const result = JSON.parse(text) as Record<string, unknown>
  if (result.failed || result.bad) throw new Error(`kbench ${args.join(' ')}: ${result.failed ?? result.bad} failed`)
  return result
}
