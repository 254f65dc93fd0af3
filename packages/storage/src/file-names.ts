import { sep } from 'node:path'
import type { Random } from '@tidelog/core'

/*
 * Names in a log dir. A partition's folder is TOPIC-PARTITION; a topic may hold '-' itself, so the partition is what follows the last one.
 * TOPIC-PARTITION.<32 hex digits>-delete waits for its removal, -future is a replica moving in, -stray one that nobody owns.
 * A segment's files bear its base offset in 20 digits.
 */

export const LOG_SUFFIX = '.log'
export const INDEX_SUFFIX = '.index'
export const TIME_INDEX_SUFFIX = '.timeindex'
export const TRANSACTION_INDEX_SUFFIX = '.txnindex'
export const SNAPSHOT_SUFFIX = '.snapshot'
export const DELETED_SUFFIX = '.deleted'
export const CLEANED_SUFFIX = '.cleaned'
export const SWAP_SUFFIX = '.swap'

/** What a folder may be called on the file systems we care for, in bytes. */
const MAX_NAME_BYTES = 255

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

export type PartitionFolder =
  | (TopicPartition & { readonly kind: 'partition' })
  | { readonly kind: 'delete' | 'future' | 'stray' /** Undefined where the name is cut or odd. */; readonly of: TopicPartition | undefined }
  | { readonly kind: 'unknown' }

const LEGAL_TOPIC = /^[a-zA-Z0-9._-]{1,249}$/

export function partitionFolder(topic: string, partition: number): string {
  return `${topic}-${partition}`
}

/** What a folder of a log dir holds, by its name. */
export function parsePartitionFolder(name: string): PartitionFolder {
  for (const kind of ['delete', 'future', 'stray'] as const) {
    if (!name.endsWith(`-${kind}`) || !/\.[0-9a-f]{32}-[a-z]+$/.test(name)) continue
    const original = parsePartitionFolder(name.slice(0, name.lastIndexOf('.')))
    return { kind, of: original.kind === 'partition' ? original : undefined }
  }
  const dash = name.lastIndexOf('-')
  const topic = name.slice(0, Math.max(dash, 0))
  const digits = name.slice(dash + 1)
  const partition = Number(digits)
  if (!LEGAL_TOPIC.test(topic) || topic === '.' || topic === '..') return { kind: 'unknown' }
  if (!/^(0|[1-9][0-9]{0,9})$/.test(digits) || partition > 0x7fffffff) return { kind: 'unknown' }
  return { kind: 'partition', topic, partition }
}

/**
 * Where a copy of a partition grows that is to take the partition's place in another log dir. Source: Kafka's UnifiedLog.logFutureDirName.
 * @returns Undefined when the topic's name is too long for it.
 */
export function futureFolder(topic: string, partition: number, random: Random): string | undefined {
  const name = `${partitionFolder(topic, partition)}.${uniqueId(random)}-future`
  return name.length > MAX_NAME_BYTES ? undefined : name
}

/** Where a deleted partition waits: the topic is cut so that the longest legal one still fits a file name. Source: Kafka's LocalLog.logDeleteDirName. */
export function deleteFolder(topic: string, partition: number, random: Random): string {
  return cappedFolder(topic, partition, `${uniqueId(random)}-delete`)
}

/** Where the folder of a partition is kept that nobody owns. Source: Kafka's UnifiedLog.logStrayDirName. */
export function strayFolder(topic: string, partition: number, random: Random): string {
  return cappedFolder(topic, partition, `${uniqueId(random)}-stray`)
}

function cappedFolder(topic: string, partition: number, suffix: string): string {
  const tail = `-${partition}.${suffix}`
  return `${topic.slice(0, MAX_NAME_BYTES - tail.length)}${tail}`
}

const uniqueId = (random: Random): string => Buffer.from(random.bytes(16)).toString('hex')

/** As `join`, for a folder whose path is in order: of the many paths that a broker keeps, each is then two strings and not a dozen slices of others. */
export function pathIn(dir: string, name: string): string {
  return `${dir}${sep}${name}`
}

/** A segment's file: base offset in 20 digits, then the suffix. */
export function segmentFile(baseOffset: number, suffix: string): string {
  return `${String(baseOffset).padStart(20, '0')}${suffix}`
}

/** The base offset in a segment file's name, or undefined when the name is no such file or the offset is beyond 2^53 - 1. */
export function parseSegmentFile(name: string, suffix: string): number | undefined {
  if (name.length !== 20 + suffix.length || !name.endsWith(suffix)) return undefined
  const digits = name.slice(0, 20)
  if (!/^\d{20}$/.test(digits)) return undefined
  const offset = Number(digits)
  return Number.isSafeInteger(offset) ? offset : undefined
}
