/** `npm run check`: what to run before a commit. Builds, formats and lints, checks the house rules, runs the tests beside the code. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const steps: [name: string, ...args: string[]][] = [
  ['build', 'scripts/bootstrap.mjs', '--build'],
  ['biome', 'node_modules/@biomejs/biome/bin/biome', 'check', '.'],
  ['tidy', 'scripts/dist/tidy.js'],
  ['tests', 'scripts/dist/test.js', '--packages'],
]
const failed = steps.filter(([name, ...args]) => {
  process.stdout.write(`\n== ${name}\n`)
  return spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' }).status !== 0
})
process.stdout.write(failed.length === 0 ? '\nAll checks passed.\n' : `\nFailed: ${failed.map(([name]) => name).join(', ')}\n`)
process.exitCode = failed.length === 0 ? 0 : 1
