#!/usr/bin/env node
/**
 * Makes a checkout ready and runs something in it; plain JavaScript, since it runs before anything is installed or compiled.
 *
 *   node scripts/bootstrap.mjs SCRIPT ARGS…   install and build what is missing or stale, then run SCRIPT in this process
 *   node scripts/bootstrap.mjs --build        install what is missing, build everything
 *
 * Everything that happens here goes to stderr: stdout belongs to SCRIPT.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const at = (...parts) => join(root, ...parts)
/** Written last by the build, so its age is the age of everything that was built. */
const stamp = at('dist', '.built')
const sourceRoots = ['packages', 'examples', 'scripts', 'tests', 'bench']
const skipped = new Set(['node_modules', 'dist', 'fixtures'])

const mtime = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0

/** npm writes down what it installed; a dependency counts as missing when that list says something else than the lock file. */
function installIsStale() {
  const installed = at('node_modules', '.package-lock.json')
  if (!existsSync(installed)) return true
  if (mtime(installed) >= mtime(at('package-lock.json'))) return false
  const locked = JSON.parse(readFileSync(at('package-lock.json'), 'utf8')).packages
  const present = JSON.parse(readFileSync(installed, 'utf8')).packages
  return Object.entries(locked).some(
    ([path, wanted]) => path.startsWith('node_modules/') && !wanted.optional && present[path]?.version !== wanted.version,
  )
}

/** The newest change among the files that the compiler reads. */
function newestSource() {
  let newest = mtime(at('package-lock.json'))
  const visit = (dir) => {
    for (const entry of readdirSync(dir, { withFileTypes: true })) {
      if (skipped.has(entry.name)) continue
      const path = join(dir, entry.name)
      if (entry.isDirectory()) visit(path)
      else if (/\.(ts|mts|json)$/.test(entry.name)) newest = Math.max(newest, mtime(path))
    }
  }
  for (const name of sourceRoots) if (existsSync(at(name))) visit(at(name))
  return newest
}

function run(what, command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2] })
  if (error) throw new Error(`${what} could not start: ${error.message}`)
  if (status !== 0) throw new Error(`${what} failed with exit code ${status}`)
}

function install() {
  process.stderr.write('Installing the locked dependencies (npm ci)…\n')
  // Under `npm start` this is npm's own script, and no second npm has to be found.
  const npm = process.env.npm_execpath
  if (npm?.endsWith('.js')) run('npm ci', process.execPath, [npm, 'ci', '--no-audit', '--no-fund'])
  else run('npm ci', process.platform === 'win32' ? 'npm.cmd' : 'npm', ['ci', '--no-audit', '--no-fund'])
}

function build() {
  process.stderr.write('Building…\n')
  run('The TypeScript build', process.execPath, [at('node_modules', 'typescript', 'bin', 'tsc'), '-b'])
  bundle()
}

function bundle() {
  run('The bundle', process.execPath, [at('scripts', 'dist', 'bundle.js')])
}

/** Two commands started at once in a fresh clone must not both install: the second waits for the first. */
function exclusively(action) {
  const lock = at('.cache', 'bootstrap.lock')
  mkdirSync(dirname(lock), { recursive: true })
  for (;;) {
    try {
      writeFileSync(lock, String(process.pid), { flag: 'wx' })
      break
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
      if (!holderIsAlive(lock)) rmSync(lock, { force: true })
      else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100)
    }
  }
  try {
    action()
  } finally {
    rmSync(lock, { force: true })
  }
}

function holderIsAlive(lock) {
  try {
    const pid = Number(readFileSync(lock, 'utf8'))
    // An empty file was created this instant and its owner is about to write its id.
    if (pid === 0) return Date.now() - mtime(lock) < 1000
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

/** Installs and builds what is missing or older than the sources. */
export function makeReady() {
  const stale = () => mtime(stamp) === 0 || mtime(stamp) < newestSource()
  if (!installIsStale() && !stale()) return
  exclusively(() => {
    if (installIsStale()) install()
    if (stale()) build()
  })
}

/**
 * What the commands under bin/ do before they start: build when nothing is built. A check of every source would cost each start
 * milliseconds, so a build that exists is taken as it is, save that the bundle follows a newer output of the compiler.
 */
export function makeRunnable() {
  const built = mtime(stamp)
  if (built === 0) return makeReady()
  const compiledSince = () => readdirSync(at('packages')).some((room) => mtime(at('packages', room, 'dist', '.tsbuildinfo')) > mtime(stamp))
  if (!compiledSince()) return
  try {
    exclusively(() => {
      if (compiledSince()) bundle()
    })
  } catch (error) {
    // Somebody is in the middle of a change; the bundle that exists still works.
    process.stderr.write(`${error.message}; running what was built before.\n`)
  }
}

async function main([first, ...args]) {
  if (first === '--build') {
    exclusively(() => {
      if (installIsStale()) install()
      build()
    })
    return
  }
  makeReady()
  if (first === undefined) return
  const script = resolve(root, first)
  if (!existsSync(script)) throw new Error(`${first} does not exist`)
  process.argv = [process.argv[0], script, ...args]
  await import(pathToFileURL(script).href)
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  // Not awaited: what it runs may import this file, which would then wait for itself.
  main(process.argv.slice(2)).catch((error) => {
    process.stderr.write(`${error.message}\n`)
    process.exitCode = 1
  })
}
