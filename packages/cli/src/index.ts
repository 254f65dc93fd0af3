export type { Command } from './command.ts'
export { loadCommands, runCommand } from './run-command.ts'
