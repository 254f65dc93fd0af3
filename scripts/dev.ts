/** `npm run dev`: a broker that is rebuilt and restarted whenever a source file is saved. Arguments go to `tidelog start`. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { watch } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const command = join(root, 'bin', 'tidelog')
/** Editors save in several steps; one restart is enough for them. */
const settleMs = 200

let broker: ChildProcess | undefined
let pending: NodeJS.Timeout | undefined

const isRunning = (): boolean => broker !== undefined && broker.exitCode === null && broker.signalCode === null

function start(): void {
  broker = spawn(process.execPath, [command, 'start', ...process.argv.slice(2)], { cwd: root, stdio: 'inherit' })
}

function restart(): void {
  const built = spawnSync(process.execPath, [join(root, 'scripts', 'bootstrap.mjs'), '--build'], { cwd: root, stdio: 'inherit' })
  if (built.status !== 0) return // the running broker stays until the sources compile again
  if (!isRunning()) {
    start()
    return
  }
  broker?.once('exit', start)
  broker?.kill('SIGTERM')
}

watch(join(root, 'packages'), { recursive: true }, (_event, path) => {
  if (path === null || !path.endsWith('.ts') || /(^|[\\/])(dist|node_modules)[\\/]/.test(path)) return
  clearTimeout(pending)
  pending = setTimeout(restart, settleMs)
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (!isRunning()) process.exit()
    broker?.once('exit', () => process.exit())
    broker?.kill(signal)
  })
}
start()
