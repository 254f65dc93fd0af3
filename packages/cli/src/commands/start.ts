import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { setFlagsFromString } from 'node:v8'
import { type Broker, startBroker } from '@tidelog/broker'
import { createLogger, type LogLevel, parseProperties } from '@tidelog/core'
import { parsePropertyWords } from '../clients.ts'
import { type CommandContext, CommandFailure, defineCommand } from '../command.ts'
import { list, text, UsageError, wordsOf } from '../option-table.ts'
import { version } from '../version.ts'

const options = {
  override: list('A setting that wins over the file; may be repeated.', { value: 'name=value' }),
  'log-level': text('What goes to stderr: debug, info (the default), warn or error.', { value: 'level' }),
  'log-format': text('text (the default) or json, one object a line.', { value: 'format' }),
}

const levels: readonly string[] = ['debug', 'info', 'warn', 'error'] satisfies LogLevel[]

/**
 * V8 lets a small heap grow to several times of what lives in it before it collects; a broker with thousands of partitions would be a third larger than
 * it has to be. How far the heap may grow beyond what lived at the last full collection, percent.
 */
const HEAP_GROWING_PERCENT = 20

/**
 * With so few processors V8's marking threads take the time of the event loop, of the threads that write and of the clients beside: for ten milliseconds a record
 * waits behind them. There the event loop marks by itself, a tenth of a millisecond at a time.
 */
const FEW_PROCESSORS = 2

/** Runs a broker until a signal or a failure ends it. */
export const start = defineCommand({
  name: 'start',
  summary: 'Starts a broker; any server.properties of Kafka will do, and so does none.',
  synopsis: '[server.properties] [--override name=value]…',
  options,
  async run(values, context, args) {
    const { 'log-level': level = 'info', 'log-format': format = 'text' } = values
    if (!levels.includes(level)) throw new UsageError(`--log-level takes ${levels.join(', ')}, not '${level}'`)
    if (format !== 'text' && format !== 'json') throw new UsageError(`--log-format takes text or json, not '${format}'`)
    const words = wordsOf(options, args)
    if (words.length > 1) throw new UsageError(`Only one properties file may be given: ${words.join(', ')}`)
    const properties = new Map([...readServerProperties(words[0]), ...parsePropertyWords(values.override)])
    setFlagsFromString(`--heap-growing-percent=${HEAP_GROWING_PERCENT}`)
    if (availableParallelism() <= FEW_PROCESSORS) setFlagsFromString('--no-concurrent-marking')
    const logger = createLogger({ level: level as LogLevel, format })
    const broker = await startBroker({ config: Object.fromEntries(properties), logger }).catch((error: unknown) => {
      throw new CommandFailure(`Cannot start: ${reasonOf(error)}`)
    })
    return serve(broker, context)
  },
})

/** @returns The exit code: 0 after a clean stop, 1 when the broker stopped itself. */
async function serve(broker: Broker, context: CommandContext): Promise<number> {
  const { stdout, stderr, interrupted } = context
  const stopped = broker.closed.then(
    () => 0,
    (error: unknown) => {
      stderr.write(`The broker has stopped: ${reasonOf(error)}\n`)
      return 1
    },
  )
  stdout.write(`Tidelog ${version()} serves at ${broker.bootstrapServers} (node ${broker.nodeId}, cluster ${broker.clusterId})\n`)
  const asked = new Promise<void>((resolve) => {
    if (interrupted.aborted) resolve()
    else interrupted.addEventListener('abort', () => resolve(), { once: true })
  })
  const first = await Promise.race([stopped, asked])
  if (first !== undefined) return first
  context.finishInPeace()
  await broker.close()
  return stopped
}

function readServerProperties(path: string | undefined): Map<string, string> {
  if (path === undefined) return new Map()
  try {
    return parseProperties(readFileSync(path))
  } catch (error) {
    throw new CommandFailure(`Cannot read ${path}: ${reasonOf(error)}`)
  }
}

/** One line; a failure that is not the user's keeps its stack for the report. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const isOurs = error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError
  return isOurs ? (error.stack ?? error.message) : error.message.replaceAll('\n', ' ')
}
