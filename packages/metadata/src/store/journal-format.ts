/**
 * The embedded store's two files, big-endian. docs/formats/metadata-journal.md describes them for people who repair one.
 *
 *   journal     header, then one frame a group of transactions that were made durable together
 *   snapshot    header, then frames of up to 1,024 nodes each, parents before children
 *
 *   header      magic int32 ('TLMJ' journal, 'TLMS' snapshot) · format int32 (1) · zxid int64 · nodes int32 (0 in a journal) · CRC-32C of these 20 bytes
 *   frame       marker int32 · length int32 of the body · CRC-32C of the body · body
 *   body        transactions, or nodes, one after the other
 *   transaction zxid int64 · time ms int64 · count int32 · changes
 *   change      type int8 (1 create, 2 set, 3 delete) · path · [create: owner int64] · [create, set: data]
 *   node        path · czxid mzxid pzxid ctime mtime int64 · version cversion int32 · owner int64 · data
 *   path, data  length int32 · bytes
 *
 * A journal's zxid is that of the snapshot it follows; a snapshot's is the last transaction in it.
 */
import { ByteReader, ByteWriter, crc32c, MalformedError } from '@tidelog/core'
import type { Transaction, TreeChange, TreeNode } from './data-tree.ts'

export type StoreFileKind = 'journal' | 'snapshot'

const MAGIC = { journal: 0x544c4d4a, snapshot: 0x544c4d53 } as const
const FORMAT = 1
export const HEADER_BYTES = 24
const FRAME_MARKER = 0x7d1de106
const FRAME_HEADER_BYTES = 12
/** Larger than any frame we write, and a bound on what a damaged length can ask for. */
const MAX_FRAME_BYTES = 64 * 1024 * 1024
const NODES_PER_FRAME = 1024
const MARKER_BYTES = Buffer.from([0x7d, 0x1d, 0xe1, 0x06])

/** What stands in a file is not what we wrote. The message says where, for an operator. */
export class DamagedFileError extends Error {
  override readonly name = 'DamagedFileError'
}

export function encodeHeader(kind: StoreFileKind, { zxid, nodes = 0 }: { zxid: number; nodes?: number }): Buffer {
  const writer = new ByteWriter(HEADER_BYTES)
  writer.int32(MAGIC[kind])
  writer.int32(FORMAT)
  writer.int64(zxid)
  writer.int32(nodes)
  writer.uint32(crc32c(writer.toBuffer()))
  return writer.toBuffer()
}

/** @throws DamagedFileError */
export function decodeHeader(kind: StoreFileKind, file: Buffer): { zxid: number; nodes: number } {
  if (file.length < HEADER_BYTES) throw new DamagedFileError(`its header is cut at byte ${file.length}`)
  const reader = new ByteReader(file)
  if (reader.int32() !== MAGIC[kind]) throw new DamagedFileError('it does not begin as such a file does')
  const format = reader.int32()
  const zxid = reader.int64()
  const nodes = reader.int32()
  if (reader.uint32() !== crc32c(file.subarray(0, HEADER_BYTES - 4))) throw new DamagedFileError('its header is damaged')
  if (format !== FORMAT) throw new DamagedFileError(`it has format ${format}, written by a newer version`)
  return { zxid, nodes }
}

function frame(body: Buffer): Buffer {
  const writer = new ByteWriter(FRAME_HEADER_BYTES)
  writer.int32(FRAME_MARKER)
  writer.int32(body.length)
  writer.uint32(crc32c(body))
  return Buffer.concat([writer.toBuffer(), body])
}

/** One frame; it stands or falls as a whole. */
export function encodeTransactions(transactions: readonly Transaction[]): Buffer {
  const writer = new ByteWriter()
  for (const { zxid, timeMs, changes } of transactions) {
    writer.int64(zxid)
    writer.int64(timeMs)
    writer.int32(changes.length)
    for (const change of changes) writeChange(writer, change)
  }
  return frame(writer.toBuffer())
}

const CHANGE_TYPES = { create: 1, set: 2, delete: 3 } as const

function writeChange(writer: ByteWriter, change: TreeChange): void {
  writer.int8(CHANGE_TYPES[change.type])
  writeBytes(writer, Buffer.from(change.path))
  if (change.type === 'create') writer.int64(change.ephemeralOwner)
  if (change.type !== 'delete') writeBytes(writer, change.data)
}

function readChange(reader: ByteReader): TreeChange {
  const type = reader.int8()
  const path = readPath(reader)
  switch (type) {
    case CHANGE_TYPES.create:
      return { type: 'create', path, ephemeralOwner: reader.int64(), data: readBytes(reader) }
    case CHANGE_TYPES.set:
      return { type: 'set', path, data: readBytes(reader) }
    case CHANGE_TYPES.delete:
      return { type: 'delete', path }
    default:
      throw new MalformedError(`unknown type of change ${type}`)
  }
}

/**
 * Reads a journal up to its end or to a torn tail.
 * @returns The transactions, and where the last whole frame ends: what follows is the rest of a write that was never acknowledged.
 * @throws DamagedFileError when a whole frame follows a damaged one: the damaged one had been acknowledged, so it is not a torn write
 */
export function decodeJournal(file: Buffer): { transactions: Transaction[]; validBytes: number } {
  const transactions: Transaction[] = []
  let at = HEADER_BYTES
  while (at < file.length) {
    const body = frameBody(file, at)
    if (body === undefined) {
      const next = nextFrame(file, at + 1)
      if (next !== undefined) throw new DamagedFileError(`it is damaged at byte ${at}, and goes on at byte ${next}`)
      break
    }
    try {
      const reader = new ByteReader(body)
      while (reader.remaining > 0) transactions.push(readTransaction(reader))
    } catch (error) {
      if (error instanceof MalformedError) throw new DamagedFileError(`the frame at byte ${at} makes no sense: ${error.message}`)
      throw error
    }
    at += FRAME_HEADER_BYTES + body.length
  }
  return { transactions, validBytes: at }
}

function readTransaction(reader: ByteReader): Transaction {
  const zxid = reader.int64()
  const timeMs = reader.int64()
  const changes: TreeChange[] = []
  for (let left = reader.int32(); left > 0; left--) changes.push(readChange(reader))
  return { zxid, timeMs, changes }
}

/** The body of the frame at `at`, or undefined when no whole frame stands there. */
function frameBody(file: Buffer, at: number): Buffer | undefined {
  if (at + FRAME_HEADER_BYTES > file.length) return undefined
  const reader = new ByteReader(file, at)
  if (reader.int32() !== FRAME_MARKER) return undefined
  const length = reader.int32()
  const crc = reader.uint32()
  if (length < 0 || length > MAX_FRAME_BYTES || length > reader.remaining) return undefined
  const body = reader.bytes(length)
  return crc32c(body) === crc ? body : undefined
}

function nextFrame(file: Buffer, from: number): number | undefined {
  for (let at = file.indexOf(MARKER_BYTES, from); at !== -1; at = file.indexOf(MARKER_BYTES, at + 1)) {
    if (frameBody(file, at) !== undefined) return at
  }
  return undefined
}

/** A snapshot in pieces, so that a large one need not be in memory twice. */
export function* encodeSnapshot(zxid: number, nodes: readonly (readonly [path: string, node: TreeNode])[]): Generator<Buffer> {
  yield encodeHeader('snapshot', { zxid, nodes: nodes.length })
  for (let from = 0; from < nodes.length; from += NODES_PER_FRAME) {
    const writer = new ByteWriter()
    for (const [path, node] of nodes.slice(from, from + NODES_PER_FRAME)) {
      writeBytes(writer, Buffer.from(path))
      for (const value of [node.czxid, node.mzxid, node.pzxid, node.ctimeMs, node.mtimeMs]) writer.int64(value)
      writer.int32(node.version)
      writer.int32(node.cversion)
      writer.int64(node.ephemeralOwner)
      writeBytes(writer, node.data)
    }
    yield frame(writer.toBuffer())
  }
}

/** @throws DamagedFileError: a snapshot gets its name only when it is whole */
export function decodeSnapshot(file: Buffer): { zxid: number; nodes: [path: string, node: TreeNode][] } {
  const { zxid, nodes: count } = decodeHeader('snapshot', file)
  const nodes: [string, TreeNode][] = []
  let at = HEADER_BYTES
  while (at < file.length) {
    const body = frameBody(file, at)
    if (body === undefined) throw new DamagedFileError(`it is damaged at byte ${at}`)
    const reader = new ByteReader(body)
    try {
      while (reader.remaining > 0) nodes.push(readNode(reader))
    } catch (error) {
      if (error instanceof MalformedError) throw new DamagedFileError(`the frame at byte ${at} makes no sense: ${error.message}`)
      throw error
    }
    at += FRAME_HEADER_BYTES + body.length
  }
  if (nodes.length !== count) throw new DamagedFileError(`it holds ${nodes.length} of ${count} nodes`)
  return { zxid, nodes }
}

function readNode(reader: ByteReader): [path: string, node: TreeNode] {
  const path = readPath(reader)
  const node = {
    czxid: reader.int64(),
    mzxid: reader.int64(),
    pzxid: reader.int64(),
    ctimeMs: reader.int64(),
    mtimeMs: reader.int64(),
    version: reader.int32(),
    cversion: reader.int32(),
    ephemeralOwner: reader.int64(),
    data: readBytes(reader),
    children: undefined,
  }
  return [path, node]
}

function writeBytes(writer: ByteWriter, bytes: Buffer): void {
  writer.int32(bytes.length)
  writer.bytes(bytes)
}

/** A copy, so that a small node does not keep a whole file in memory. */
function readBytes(reader: ByteReader): Buffer {
  return Buffer.from(reader.bytes(reader.int32()))
}

function readPath(reader: ByteReader): string {
  return reader.string(reader.int32())
}
