import { readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { entryPoints } from '../entry-points.ts'
import { layers } from '../layers.ts'
import { type Finding, root, type SourceFile } from './sources.ts'

const rooms: Record<string, readonly string[]> = layers

/** Imports run one way: what scripts/layers.ts allows, always through a room's index, and npm packages only when package.json names them. */
export function checkLayers(sources: readonly SourceFile[]): Finding[] {
  const { dependencies, peerDependencies, devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const shipped = new Set(Object.keys({ ...dependencies, ...peerDependencies }))
  const known = new Set([...shipped, ...Object.keys(devDependencies)])
  return sources.flatMap(({ path, room, isTest, imports }) => {
    const allowed = rooms[room]
    if (allowed === undefined) return [{ path, line: 1, message: `room ${room} is missing in scripts/layers.ts` }]
    return imports.flatMap(({ id, line }) => {
      const message = refusal(id, { path, room, isTest, allowed, shipped, known })
      return message === undefined ? [] : [{ path, line, message }]
    })
  })
}

interface Importer {
  readonly path: string
  readonly room: string
  readonly isTest: boolean
  readonly allowed: readonly string[]
  readonly shipped: ReadonlySet<string>
  readonly known: ReadonlySet<string>
}

function refusal(id: string, { path, room, isTest, allowed, shipped, known }: Importer): string | undefined {
  if (id.startsWith('node:')) return undefined
  if (id.startsWith('.')) {
    if (!posix.join(posix.dirname(path), id).startsWith(`packages/${room}/src/`))
      return `imports ${id}, a file of another room; use @tidelog/ROOM`
    return id.endsWith('.ts') || id.endsWith('-worker.js') ? undefined : `imports ${id} without its .ts`
  }
  const inside = /^@tidelog\/([^/]+)(\/.*)?$/.exec(id)
  if (inside !== null) {
    const [, other = '', deeper] = inside
    if (deeper !== undefined) return `imports ${id}: rooms import each other's index only`
    if (isTest) return rooms[other] === undefined ? `imports ${id}, which is no room` : undefined
    if (other === room) return `imports its own room as ${id}`
    return allowed.includes(other) ? undefined : `${room} must not import ${other} (scripts/layers.ts)`
  }
  const name = id.split('/', id.startsWith('@') ? 2 : 1).join('/')
  if (shipped.has(name) || (isTest && known.has(name))) return undefined
  return `imports ${name}, which package.json does not list${known.has(name) ? ' as a dependency of the published package' : ''}`
}

/**
 * Every file must be reachable from its room's index, an entry point or a worker's first file: what nobody imports goes. What only tests import is
 * called `*-harness.ts`.
 */
export function checkReachable(sources: readonly SourceFile[]): Finding[] {
  const byPath = new Map(sources.map((source) => [source.path, source]))
  const reached = new Set<string>()
  const pending = sources.filter(({ path, isTest }) => isRoot(path) && !isTest)
  for (let source = pending.pop(); source !== undefined; source = pending.pop()) {
    if (reached.has(source.path)) continue
    reached.add(source.path)
    for (const { id } of source.imports) {
      if (!id.startsWith('.')) continue
      const next = byPath.get(posix.join(posix.dirname(source.path), id.replace(/\.js$/, '.ts')))
      if (next !== undefined) pending.push(next)
    }
  }
  return sources
    .filter(({ path, isTest }) => !isTest && !reached.has(path))
    .map(({ path, room }) => ({ path, line: 1, message: `nobody imports it: not reachable from packages/${room}/src/index.ts` }))
}

/**
 * No files of a room may import each other in a circle, types included: in a circle no file can be read before the others, and what it shares
 * belongs in a file below.
 */
export function checkCircles(sources: readonly SourceFile[]): Finding[] {
  const byPath = new Map(sources.filter(({ isTest }) => !isTest).map((source) => [source.path, source]))
  const isDone = new Set<string>()
  const walk: string[] = []
  const findings: Finding[] = []
  const visit = (source: SourceFile): void => {
    walk.push(source.path)
    for (const { id, line } of source.imports) {
      const next = id.startsWith('.') ? byPath.get(posix.join(posix.dirname(source.path), id)) : undefined
      if (next === undefined || isDone.has(next.path)) continue
      const begin = walk.indexOf(next.path)
      if (begin < 0) visit(next)
      else {
        const circle = [...walk.slice(begin), next.path].map((path) => posix.basename(path)).join(' → ')
        findings.push({ path: source.path, line, message: `imports in a circle: ${circle}; move what they share into a file of its own` })
      }
    }
    walk.pop()
    isDone.add(source.path)
  }
  for (const source of byPath.values()) if (!isDone.has(source.path)) visit(source)
  return findings
}

const entryFiles: ReadonlySet<string> = new Set(Object.values(entryPoints).map((file) => `packages/${file.replace('/', '/src/')}.ts`))

function isRoot(path: string): boolean {
  return entryFiles.has(path) || /^packages\/[^/]+\/src\/index\.ts$/.test(path) || /-(worker|harness)\.ts$/.test(path)
}
