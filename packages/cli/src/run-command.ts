import { setMaxListeners } from 'node:events'
import { constants } from 'node:os'
import { messageOf } from '@tidelog/core'
import { realClients } from './clients.ts'
import type { Command, CommandContext } from './command.ts'
import { version } from './version.ts'

/** Each command in a file of its own, loaded when it is called: the start of one does not pay for the others. */
const commands: ReadonlyMap<string, () => Promise<Command>> = new Map([
  ['start', async () => (await import('./commands/start.ts')).start],
  ['topics', async () => (await import('./commands/topics.ts')).topics],
  ['configs', async () => (await import('./commands/configs.ts')).configs],
  ['console-producer', async () => (await import('./commands/console-producer.ts')).consoleProducer],
  ['console-consumer', async () => (await import('./commands/console-consumer.ts')).consoleConsumer],
  ['consumer-groups', async () => (await import('./commands/consumer-groups.ts')).consumerGroups],
  ['groups', async () => (await import('./commands/groups.ts')).groups],
  ['transactions', async () => (await import('./commands/transactions.ts')).transactions],
  ['features', async () => (await import('./commands/features.ts')).features],
  ['get-offsets', async () => (await import('./commands/get-offsets.ts')).getOffsets],
  ['verify-log', async () => (await import('./commands/verify-log.ts')).verifyLog],
  ['delete-records', async () => (await import('./commands/delete-records.ts')).deleteRecords],
  ['log-dirs', async () => (await import('./commands/log-dirs.ts')).logDirs],
  ['dump-log', async () => (await import('./commands/dump-log.ts')).dumpLog],
])

/**
 * Runs `tidelog ARGS…` in this process, which it owns: signals, unhandled rejections, exit code. Ends the process.
 * A first SIGINT or SIGTERM asks the command to end, a second one ends it, save where the command is closing files.
 */
export async function runCommand(args: readonly string[]): Promise<never> {
  const interruption = new AbortController()
  // Every call under way listens, and a command may have any number of them.
  setMaxListeners(0, interruption.signal)
  const { stdin, stdout, stderr } = process
  const [name = '--help', ...rest] = args
  let signalled: 'SIGINT' | 'SIGTERM' | undefined
  let isForceable = true
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (signalled !== undefined && isForceable) process.exit(exitCodeOf(signal))
      signalled ??= signal
      interruption.abort()
    })
  }
  process.on('unhandledRejection', (reason) => {
    stderr.write(`Unexpected failure: ${reason instanceof Error ? reason.stack : String(reason)}\n`)
    process.exit(1)
  })
  // Whoever read the output has gone (`tidelog topics --list | head -1`): there is nothing left to say and nobody to say it to.
  stdout.on('error', () => interruption.abort())
  stderr.on('error', () => {})
  const finishInPeace = () => {
    isForceable = false
  }
  const context = { stdin, stdout, stderr, clients: realClients, interrupted: interruption.signal, finishInPeace }
  const code = await execute(name, rest, context).catch((error: unknown) => {
    if (!interruption.signal.aborted) stderr.write(`${messageOf(error)}\n`)
    return signalled === undefined ? 1 : exitCodeOf(signalled)
  })
  await flushed(stdout)
  await flushed(stderr)
  process.exit(code)
}

async function execute(name: string, args: readonly string[], context: CommandContext): Promise<number> {
  if (name === '--version' || name === 'version') {
    context.stdout.write(`${version()}\n`)
    return 0
  }
  if (name === '--help' || name === '-h' || name === 'help') {
    context.stdout.write(await overview())
    return 0
  }
  const load = commands.get(name)
  if (load === undefined) {
    context.stderr.write(`There is no command '${name}'.\n\n${await overview()}`)
    return 1
  }
  return (await load()).run(args, context)
}

/** Every command, in the order of `tidelog --help`. */
export const loadCommands = (): Promise<Command[]> => Promise.all([...commands.values()].map((load) => load()))

async function overview(): Promise<string> {
  const all = await loadCommands()
  const width = Math.max(...all.map(({ name }) => name.length)) + 2
  const lines = all.map(({ name, summary }) => `  ${name.padEnd(width)}${summary}\n`)
  return `Usage: tidelog COMMAND [options]\nTidelog ${version()}, a Kafka-compatible event streaming platform.\n\n${lines.join('')}\ntidelog COMMAND --help tells a command's options.\n`
}

function exitCodeOf(signal: 'SIGINT' | 'SIGTERM'): number {
  return 128 + constants.signals[signal]
}

function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    if (!stream.writable) resolve()
    else stream.write('', () => resolve())
  })
}
