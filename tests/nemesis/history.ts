/**
 * What happened, as a driver saw it: a line of JSON an event, in the order of real time. An `invoke` is written before its request leaves; `ok`,
 * `fail` (the broker's code proves that it had no effect) or `info` (nobody knows) after the answer has come or can come no more.
 *
 * A process is one life of one client: what starts after a crash has another number. It does one thing at a time, sends aside, which go by their value.
 * A process is in one transaction at a time: its sends name it, and an op of its own tells what was asked for in the end, and what came of it.
 */
export type HistoryEvent = {
  /** Monotonic, ms. */
  readonly time: number
  readonly process: number
  readonly client: string
} & (Send | Poll | Positions | Ownership | Commit | Committed | TransactionEnd | ListOffsets | ClientCrash | Fault | End)

export type Outcome = 'ok' | 'fail' | 'info'

/** A partition and an offset in it. */
export type PlaceAndOffset = readonly [topic: string, partition: number, offset: number]

export interface Send {
  readonly op: 'send'
  readonly type: 'invoke' | Outcome
  readonly topic: string
  readonly partition: number
  /** PROCESS-COUNTER: unique. */
  readonly value: string
  readonly key?: string
  /** It was sent in this one. */
  readonly transaction?: string
  /** Beside invoke: the record that it is a copy of, which is to be copied exactly once. */
  readonly from?: PlaceAndOffset
  /** Beside ok. */
  readonly offset?: number
  readonly error?: string
}

/** A poll that gave records, or whose client reported lost data (fail). A record that its checksum disowns has what is wrong for a value. */
export interface Poll {
  readonly op: 'poll'
  readonly type: 'ok' | 'fail'
  /** assign: a client that chose its partitions; group: a member; final: at the end, when all is quiet. */
  readonly mode: 'assign' | 'group' | 'final'
  readonly group?: string
  readonly records?: readonly (readonly [topic: string, partition: number, records: readonly ReadRecord[]])[]
  readonly error?: string
}

export type ReadRecord = readonly [offset: number, value: string, key: string]

/** A client without a group goes on at these offsets. */
export interface Positions {
  readonly op: 'assign'
  readonly type: 'ok'
  readonly offsets: readonly PlaceAndOffset[]
}

/** A member has got or given up partitions; the offsets mean nothing. */
export interface Ownership {
  readonly op: 'assigned' | 'revoked' | 'lost'
  readonly type: 'ok'
  readonly group: string
  /** In which it got them; the member's epoch where the broker assigns. */
  readonly generation?: number
  readonly offsets: readonly PlaceAndOffset[]
}

export interface Commit {
  readonly op: 'commit'
  readonly type: 'invoke' | Outcome
  readonly group: string
  /** The member's, where it told. */
  readonly generation?: number
  readonly offsets: readonly PlaceAndOffset[]
  readonly error?: string
}

/** The end of a transaction is asked for (invoke). fail: it is aborted, whatever was asked for. One that nobody ends is aborted in time. */
export interface TransactionEnd {
  readonly op: 'txn'
  readonly type: 'invoke' | Outcome
  readonly transaction: string
  readonly end: 'commit' | 'abort'
  /** Offsets of this group that are committed with it. */
  readonly group?: string
  readonly generation?: number
  readonly offsets?: readonly PlaceAndOffset[]
  readonly error?: string
}

/** What a group has committed, -1 where nothing. */
export interface Committed {
  readonly op: 'committed'
  readonly type: 'invoke' | Outcome
  readonly group: string
  readonly offsets?: readonly PlaceAndOffset[]
  readonly error?: string
}

/** Where the partitions end for a reader. */
export interface ListOffsets {
  readonly op: 'list_offsets'
  readonly type: 'invoke' | Outcome
  /** The end of committed records, which is the last stable offset. */
  readonly isCommitted?: boolean
  readonly offsets?: readonly PlaceAndOffset[]
  readonly error?: string
}

/** A client went without a goodbye to its records in flight. */
export interface ClientCrash {
  readonly op: 'crash_client'
  readonly type: 'info'
}

export interface Fault {
  readonly op: 'nemesis'
  /** invoke: it begins; ok: the broker serves again. */
  readonly type: 'invoke' | 'ok'
  readonly fault: string
}

/** The driver is done. */
export interface End {
  readonly op: 'end'
  readonly type: 'ok'
}

/** @throws SyntaxError when the line is not JSON. The driver is ours: the shape is not looked at. */
export function parseEvent(line: string): HistoryEvent {
  return JSON.parse(line) as HistoryEvent
}

export const placeName = (topic: string, partition: number): string => `${topic}-${partition}`
