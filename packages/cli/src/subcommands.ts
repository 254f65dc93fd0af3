import type { Command, CommandContext } from './command.ts'
import { CommandFailure } from './command.ts'
import { describeOptions, flag, type OptionTable, type OptionValues, parseOptions, UsageError, wordsOf } from './option-table.ts'

/** What one word after the command's name does. */
export interface Subcommand {
  readonly summary: string
  readonly options: OptionTable
  run(values: Readonly<Record<string, unknown>>, context: CommandContext): Promise<number>
}

/** A subcommand with typed values: those of its own options and of the command's. */
export function subcommand<G extends OptionTable, T extends OptionTable>(
  _shared: G,
  definition: {
    readonly summary: string
    readonly options: T
    run(values: OptionValues<G & T>, context: CommandContext): Promise<number>
  },
): Subcommand {
  const { run, ...rest } = definition
  return { ...rest, run: (values, context) => run(values as OptionValues<G & T>, context) }
}

interface Definition {
  readonly name: string
  readonly summary: string
  /** Of every subcommand. */
  readonly options: OptionTable
  readonly subcommands: Readonly<Record<string, Subcommand>>
  /** How a mistake in the arguments is told, on stderr. */
  mistake(message: string, usage: string): string
}

const helpOption = { help: flag('Prints this text.') }

/**
 * A command whose first word says what it does, as Kafka's tools that are built on argparse4j: `features --bootstrap-server … upgrade --feature …`.
 * Unlike there, options of the command may also follow the word.
 */
export function defineSubcommands({ name, summary, options, subcommands, mistake }: Definition): Command {
  const names = Object.keys(subcommands)
  const everything: OptionTable = Object.assign({}, ...Object.values(subcommands).map((one) => one.options), options, helpOption)
  const usage = () => {
    const width = Math.max(...names.map((word) => word.length)) + 2
    const words = names.map((word) => `  ${word.padEnd(width)}${subcommands[word]!.summary}\n`).join('')
    return `Usage: tidelog ${name} [options] {${names.join(',')}} …\n${summary}\n\n${words}\n${describeOptions({ ...options, ...helpOption })}`
  }
  const usageOf = (word: string) =>
    `Usage: tidelog ${name} ${word} [options]\n${subcommands[word]!.summary}\n\n${describeOptions({ ...options, ...subcommands[word]!.options, ...helpOption })}`
  const fullUsage = () => [usage(), ...names.map((word) => usageOf(word).replace(/^Usage: /, ''))].join('\n')
  return {
    name,
    summary,
    usage: fullUsage,
    async run(args, context) {
      try {
        const asked = parseOptions(everything, args)
        const [word] = wordsOf(everything, args)
        const chosen = word !== undefined && Object.hasOwn(subcommands, word) ? subcommands[word] : undefined
        if (asked.help) {
          context.stdout.write(chosen === undefined ? usage() : usageOf(word!))
          return 0
        }
        if (word === undefined) throw new UsageError('too few arguments')
        if (chosen === undefined) {
          throw new UsageError(`invalid choice: '${word}' (choose from ${names.map((known) => `'${known}'`).join(', ')})`)
        }
        const table: OptionTable = { ...options, ...chosen.options, ...helpOption }
        const values = parseOptions(table, args)
        for (const [option, { kind, required }] of Object.entries(table)) {
          const value: unknown = values[option]
          if (required && (kind === 'list' ? (value as unknown[]).length === 0 : value === undefined)) {
            throw new UsageError(`argument --${option} is required`)
          }
        }
        return await chosen.run(values, context)
      } catch (error) {
        if (error instanceof CommandFailure) {
          context.stderr.write(`${error.message}\n`)
          return 1
        }
        if (!(error instanceof UsageError)) throw error
        context.stderr.write(mistake(error.message, usage()))
        return 1
      }
    },
  }
}
