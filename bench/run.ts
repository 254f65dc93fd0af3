/**
 * `npm run bench -- NAME [ARGS…]`: one question, one file beside this one. Without a name: which there are.
 */
import { readdirSync } from 'node:fs'

const here = new URL('.', import.meta.url)
const names = readdirSync(here)
  .filter((file) => file.endsWith('.js') && file !== 'run.js')
  .map((file) => file.slice(0, -'.js'.length))
const [name, ...args] = process.argv.slice(2)
if (name === undefined || !names.includes(name)) {
  process.stderr.write(`npm run bench -- NAME [ARGS…], where NAME is one of: ${names.join(', ')}\n`)
  process.exitCode = name === undefined ? 0 : 1
} else {
  process.argv.splice(2, process.argv.length, ...args)
  await import(new URL(`${name}.js`, here).href)
}
