import type { SharedPartition, ShareSession } from './share-session.ts'

/** One broker: its session, and the requests to it, which go one after the other, as a session wants it. */
export interface ShareNode {
  readonly nodeId: number
  session: ShareSession
  queue: Promise<unknown>
  isFetching: boolean
  /** Monotonic time before which it is not asked again. */
  notBeforeMs: number
  failures: number
}

/** The acquisition lock of what one answer has brought. */
export interface AcquisitionLock {
  /** Monotonic time after which the broker has given the records to others. */
  untilMs: number
}

/** Where a record came from, and where its acknowledgement must go. */
export interface RecordSource {
  readonly node: ShareNode
  readonly session: ShareSession
  readonly partition: SharedPartition
  readonly lock: AcquisitionLock
}

/** A record whose lock runs: it waits to be handed out, or is being handled. */
export interface HeldRecord extends RecordSource {
  readonly offset: number
}
