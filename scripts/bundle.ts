/**
 * Makes dist/, which is what the published package holds: the rooms' compiled JavaScript joined into few files, so that a command
 * loads in one read instead of hundreds, and the declarations that the public ones reach. Packages from npm stay imports.
 * Why: docs/decisions/packaging.md.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'
import { distName, entryPoints } from './entry-points.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const dist = join(root, 'dist')
const compiled = (room: string, ...path: string[]) => join(root, 'packages', room, 'dist', ...path)

/** Files that run in a worker thread are named `*-worker.ts`, are opened as `new URL('./NAME-worker.js', import.meta.url)`, and so stay files of their own. */
function workerEntries(): Record<string, string> {
  const entries: Record<string, string> = {}
  for (const room of readdirSync(join(root, 'packages'))) {
    const source = join(root, 'packages', room, 'src')
    for (const path of readdirSync(source, { recursive: true, encoding: 'utf8' })) {
      if (!path.endsWith('-worker.ts')) continue
      entries[basename(path, '.ts')] = compiled(room, path.replace(/\.ts$/, '.js'))
    }
  }
  return entries
}

/** The compiler's output for a file as scripts/entry-points.ts names it. */
function compiledEntry(file: string, ending: '.js' | '.d.ts'): string {
  const [room, ...path] = file.split('/')
  return compiled(room!, ...path) + ending
}

/** What users import, by path below dist/. */
function importedEntries(): Record<string, string> {
  return Object.fromEntries(Object.entries(entryPoints).map(([subpath, file]) => [distName(subpath), compiledEntry(file, '.js')]))
}

async function bundleCode(): Promise<Set<string>> {
  const build = await rolldown({
    input: { ...importedEntries(), cli: compiled('cli', 'index.js'), ...workerEntries() },
    platform: 'node',
    external: (id) => !id.startsWith('@tidelog/') && !id.startsWith('.') && !id.startsWith('/'),
  })
  const { output } = await build.write({
    dir: dist,
    format: 'esm',
    entryFileNames: '[name].js',
    // Beside the entries: a worker is opened by a path relative to the code that opens it.
    chunkFileNames: '[name].js',
    comments: { legal: true, annotation: true, jsdoc: false },
  })
  await build.close()
  return new Set(output.map(({ fileName }) => fileName))
}

/** Copies the declarations reachable from what users import to types/ROOM/, where an import of `@tidelog/ROOM` becomes a relative one. */
function copyDeclarations(): Set<string> {
  const written = new Set<string>()
  const entries = Object.values(entryPoints).map((file) => compiledEntry(file, '.d.ts'))
  const pending = [...entries]
  const seen = new Set(pending)
  for (let from = pending.pop(); from !== undefined; from = pending.pop()) {
    const target = declarationTarget(from)
    const source = from
    const text = readFileSync(from, 'utf8')
      .replace(/^\/\/# sourceMappingURL=.*$/m, '')
      .replace(/(\bfrom\s+|\bimport\s+|\bimport\()(['"])([^'"]+)\2/g, (whole, keyword: string, quote: string, id: string) => {
        const found = declarationOf(id, source)
        if (found === undefined) return whole
        if (!seen.has(found)) {
          seen.add(found)
          pending.push(found)
        }
        const path = relative(dirname(target), declarationTarget(found))
          .split(sep)
          .join('/')
          .replace(/\.d\.ts$/, '.js')
        return `${keyword}${quote}${path.startsWith('.') ? path : `./${path}`}${quote}`
      })
    mkdirSync(join(dist, dirname(target)), { recursive: true })
    // Buffer and its kind are there for a user whose own compiler settings name no types, too.
    writeFileSync(join(dist, target), entries.includes(from) ? `/// <reference types="node" />\n${text}` : text)
    written.add(target.split(sep).join('/'))
  }
  return written
}

/** The declaration file that `id`, imported in `from`, means; undefined for a package from npm or Node itself. */
function declarationOf(id: string, from: string): string | undefined {
  const room = /^@tidelog\/([a-z]+)$/.exec(id)?.[1]
  if (room !== undefined) return compiled(room, 'index.d.ts')
  if (!id.startsWith('.')) return undefined
  const path = resolve(dirname(from), id.replace(/\.(ts|js)$/, '.d.ts'))
  if (!existsSync(path)) throw new Error(`${from}: no declaration for ${id}`)
  return path
}

function declarationTarget(path: string): string {
  const [room, , ...rest] = relative(join(root, 'packages'), path).split(sep)
  return join('types', room as string, ...rest)
}

function removeAllBut(keep: Set<string>): void {
  for (const path of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
    const full = join(dist, path)
    if (statSync(full).isFile() && !keep.has(path.split(sep).join('/')) && path !== '.built') rmSync(full)
  }
}

try {
  removeAllBut(new Set([...(await bundleCode()), ...copyDeclarations()]))
  // Last, so that its age is the age of everything: scripts/bootstrap.mjs reads it.
  writeFileSync(join(dist, '.built'), '')
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`)
  process.exitCode = 1
}
