import type { Random } from '@tidelog/core'

/** What a disk writes whole or not at all. */
const SECTOR_BYTES = 512

/** A change to a file. `order` grows with each change of the disk. */
export type FileChange = { readonly order: number } & (
  | { readonly kind: 'write'; readonly position: number; readonly bytes: Buffer }
  | { readonly kind: 'truncate'; readonly sizeBytes: number }
)

/** A change to the names in a directory. */
export type NameChange<Node> = { readonly order: number } & (
  | { readonly kind: 'link'; readonly name: string; readonly node: Node }
  | { readonly kind: 'unlink'; readonly name: string }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string; readonly node: Node }
)

/** What a power cut leaves of changes that were not forced to disk. */
const fates = ['all', 'none', 'a first part', 'some'] as const
type Fate = (typeof fates)[number]

const fateOf = (random: Random): Fate => fates[random.int(fates.length)]!

export function withChange(content: Buffer, change: FileChange): Buffer {
  if (change.kind === 'truncate') return resized(content, change.sizeBytes)
  const longer = resized(content, Math.max(content.length, change.position + change.bytes.length))
  change.bytes.copy(longer, change.position)
  return longer
}

/** A copy of that size; what is new is zeros. */
function resized(content: Buffer, sizeBytes: number): Buffer {
  const copy = Buffer.alloc(sizeBytes)
  content.copy(copy)
  return copy
}

/** A file after a power cut: `durable`, and of the changes behind it what the random fate keeps, whole, torn at a sector, or as a hole of the right size. */
export function applyToFile(durable: Buffer, changes: readonly FileChange[], random: Random): Buffer {
  const fate = fateOf(random)
  if (fate === 'none' || changes.length === 0) return durable
  const kept = fate === 'a first part' ? changes.slice(0, random.int(changes.length + 1)) : changes
  let content = durable
  for (const [index, change] of kept.entries()) {
    const isLast = index === kept.length - 1
    if (fate === 'some' && random.int(2) === 0) continue
    const isTorn = change.kind === 'write' && (fate === 'some' || (fate === 'a first part' && isLast)) && random.int(2) === 0
    content = isTorn ? withSectors(content, change, fate === 'some' ? 'any' : 'first', random) : withChange(content, change)
  }
  if (fate === 'all') return content
  // The size may be on disk ahead of the bytes: zeros, or what lay in those sectors before.
  let sizeBytes = durable.length
  for (const change of changes)
    sizeBytes = change.kind === 'truncate' ? change.sizeBytes : Math.max(sizeBytes, change.position + change.bytes.length)
  if (content.length >= sizeBytes || random.int(3) > 0) return content
  const from = content.length
  content = resized(content, sizeBytes)
  if (random.int(2) === 0) content.set(random.bytes(sizeBytes - from), from)
  return content
}

function withSectors(
  content: Buffer,
  { position, bytes, order }: Extract<FileChange, { kind: 'write' }>,
  which: 'first' | 'any',
  random: Random,
): Buffer {
  let torn = content
  for (let from = 0; from < bytes.length; ) {
    const to = Math.min(bytes.length, from + SECTOR_BYTES - ((position + from) % SECTOR_BYTES))
    if (random.int(2) === 0) {
      if (which === 'first') break
    } else {
      torn = withChange(torn, { kind: 'write', position: position + from, bytes: bytes.subarray(from, to), order })
    }
    from = to
  }
  return torn
}

/** The names in a directory after a power cut. A rename is there or not, whatever became of the file's bytes or of its first name. */
export function applyToNames<Node>(
  durable: ReadonlyMap<string, Node>,
  changes: readonly NameChange<Node>[],
  random: Random,
): Map<string, Node> {
  const names = new Map(durable)
  const fate = fateOf(random)
  const kept = fate === 'a first part' ? changes.slice(0, random.int(changes.length + 1)) : fate === 'none' ? [] : changes
  for (const change of kept) {
    if (fate === 'some' && random.int(2) === 0) continue
    if (change.kind === 'link') names.set(change.name, change.node)
    else if (change.kind === 'unlink') names.delete(change.name)
    else {
      if (names.get(change.from) === change.node) names.delete(change.from)
      names.set(change.to, change.node)
    }
  }
  return names
}
