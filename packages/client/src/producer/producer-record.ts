import type { NewHeader } from '@tidelog/protocol'
import type { ClientError } from '../errors.ts'
import type { HeaderInput } from '../serde/serde.ts'

/** In their order, duplicates kept; or an object when names are unique. */
export type HeadersInput = readonly HeaderInput[] | Readonly<Record<string, Uint8Array | string | null>>

/** What is sent. */
export interface ProducerRecord<K = unknown, V = unknown> {
  readonly topic: string
  /** Decides the partition when none is named; null or absent: none. */
  readonly key?: K | null | undefined
  /** null or absent: a tombstone, which removes the key from a compacted topic. */
  readonly value?: V | null | undefined
  /** None when absent. */
  readonly headers?: HeadersInput | undefined
  /** The partitioner decides when absent; one that the topic does not have fails the record with `INVALID_PARTITION`. */
  readonly partition?: number | undefined
  /** Ms since the Unix epoch; now when absent. */
  readonly timestamp?: number | undefined
}

/** Where a record went. */
export interface RecordMetadata {
  readonly topic: string
  readonly partition: number
  /** -1 with acks=0, and when the broker had it already and does not say where. */
  readonly offset: number
  /** Ms since the Unix epoch: the record's own, or the broker's where the topic has LogAppendTime. */
  readonly timestamp: number
}

/** Called once a record, in order within a partition; must not throw. */
export type OnDelivery = (error: ClientError | undefined, metadata: RecordMetadata | undefined) => void

/** @throws TypeError for what is neither text nor bytes nor null: programs without types say so by what they give */
export const headersOf = (headers: HeadersInput): readonly NewHeader[] =>
  inOrder(headers).map(({ key, value }) => {
    if (typeof key !== 'string') throw new TypeError(`the name of a header is ${typeof key}, not text`)
    return { key, value: headerBytes(key, value) }
  })

function headerBytes(key: string, value: Uint8Array | string | null | undefined): Uint8Array | null {
  if (typeof value === 'string') return Buffer.from(value, 'utf8')
  if (value == null) return null
  if (!(value instanceof Uint8Array)) throw new TypeError(`header '${key}' is ${typeof value}, not text, bytes or null`)
  return value
}

/** A list of its own, which may be changed. */
export const headerListOf = (headers: HeadersInput | undefined): HeaderInput[] => (headers === undefined ? [] : [...inOrder(headers)])

function inOrder(headers: HeadersInput): readonly HeaderInput[] {
  if (Array.isArray(headers)) return headers as readonly HeaderInput[]
  return Object.entries(headers as Readonly<Record<string, Uint8Array | string | null>>).map(([key, value]) => ({ key, value }))
}
