import type { Readable, Writable } from 'node:stream'
import type { Clients } from './clients.ts'
import { checkRequired, describeOptions, flag, type OptionTable, type OptionValues, parseOptions, UsageError } from './option-table.ts'

/** What a command sees of the process it runs in. */
export interface CommandContext {
  readonly stdin: Readable & { readonly isTTY?: boolean }
  readonly stdout: Writable
  readonly stderr: Writable
  readonly clients: Clients
  /** Aborts when the user wants the command to end: Ctrl-C, SIGTERM, or a reader of stdout that went away. */
  readonly interrupted: AbortSignal
  /** From now on a second Ctrl-C or SIGTERM does not end the process at once: files are being closed. */
  finishInPeace(): void
}

export interface Command {
  readonly name: string
  /** One line for `tidelog --help`. */
  readonly summary: string
  /** What `--help` prints: usage line, summary, options. */
  usage(): string
  /** Resolves with the exit code. */
  run(args: readonly string[], context: CommandContext): Promise<number>
}

/** The command cannot do what was asked, for a reason that its usage would not explain: one line on stderr and exit code 1. */
export class CommandFailure extends Error {}

interface Definition<T extends OptionTable> {
  readonly name: string
  readonly summary: string
  readonly options: T
  /** What follows the name in the usage line. */
  readonly synopsis?: string
  /** Looks at the values together. @throws UsageError */
  check?(values: OptionValues<T>, args: readonly string[]): void
  run(values: OptionValues<T>, context: CommandContext, args: readonly string[]): Promise<number>
}

const helpOptions = { help: flag('Prints this text.'), version: flag('Prints the version.') }

/** A command from its table of options: parses them, answers --help and --version, and turns a UsageError into text and exit code 1. */
export function defineCommand<T extends OptionTable>(definition: Definition<T>): Command {
  const { name, summary, synopsis = '[options]' } = definition
  const table = { ...definition.options, ...helpOptions }
  const usage = () => `Usage: tidelog ${name} ${synopsis}\n${summary}\n\n${describeOptions(table)}`
  return {
    name,
    summary,
    usage,
    async run(args, context) {
      try {
        if (args.length === 0 && Object.values(table).some(({ required }) => required)) throw new UsageError(summary)
        const values = parseOptions(table, args)
        if (values.help) {
          context.stdout.write(usage())
          return 0
        }
        if (values.version) {
          const { version } = await import('./version.ts')
          context.stdout.write(`${version()}\n`)
          return 0
        }
        checkRequired(table, values)
        const own = values as unknown as OptionValues<T>
        definition.check?.(own, args)
        return await definition.run(own, context, args)
      } catch (error) {
        if (error instanceof CommandFailure) {
          context.stderr.write(`${error.message}\n`)
          return 1
        }
        if (!(error instanceof UsageError)) throw error
        context.stderr.write(`${error.message}\n${usage()}`)
        return 1
      }
    },
  }
}
