/** The `tidelog` command. */
export async function runCommand(args: readonly string[]): Promise<void> {
  process.stdout.write(`${args.join(' ')}\n`)
}
