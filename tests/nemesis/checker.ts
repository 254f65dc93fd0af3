import { type Anomaly, type AnomalyKind, AnomalyList } from './anomalies.ts'
import { CommittedOffsets } from './committed-offsets.ts'
import { type HistoryEvent, type ListOffsets, placeName, type Send, type TransactionEnd } from './history.ts'
import { OwnershipOrder } from './ownership.ts'
import { ReaderPositions } from './reader-positions.ts'
import { VersionOrder } from './version-order.ts'

export interface Verdict {
  /** The first ones of every kind. */
  readonly anomalies: readonly Anomaly[]
  /** All of them. */
  readonly counts: ReadonlyMap<AnomalyKind, number>
  /** Events by op and outcome, as 'send ok'; 'read' counts records, 'copy' those that were sent as copies of others. */
  readonly events: ReadonlyMap<string, number>
}

/** Judges a history, event by event. Knows nothing of brokers: only of what was sent, acked and read. */
export class HistoryChecker {
  readonly #anomalies = new AnomalyList()
  readonly #order = new VersionOrder(this.#anomalies)
  readonly #readers = new ReaderPositions(this.#anomalies)
  readonly #commits = new CommittedOffsets(this.#anomalies)
  readonly #owners = new OwnershipOrder(this.#anomalies)
  readonly #events = new Map<string, number>()
  /** Place → the least that its end can be by now. */
  readonly #ends = new Map<string, number>()
  /** Place → the least that its last stable offset can be. */
  readonly #stableEnds = new Map<string, number>()
  /** Process → that which it asks for, when it asked. */
  readonly #endsWhenAsked = new Map<number, ReadonlyMap<string, number>>()
  #line = 0

  add(event: HistoryEvent): void {
    this.#line++
    this.#count(`${event.op} ${event.type}`, 1)
    switch (event.op) {
      case 'send':
        this.#order.noteSend(event)
        this.#noteAckedEnd(event)
        if (event.from !== undefined) this.#count('copy', 1)
        break
      case 'poll':
        this.#readers.notePoll(event)
        for (const [topic, partition, records] of event.records ?? []) {
          this.#count('read', records.length)
          for (const record of records) this.#order.noteRead(topic, partition, record)
        }
        if (event.type === 'fail') {
          const { client, error = '' } = event
          this.#anomalies.add({ kind: 'loss reported', place: '', detail: `${client}: ${error}`, values: [], offsets: [] })
        }
        break
      case 'assign':
        this.#readers.notePositions(event)
        break
      case 'assigned':
      case 'revoked':
      case 'lost':
        this.#readers.noteOwnership(event)
        this.#owners.noteOwnership(event)
        break
      case 'crash_client':
        this.#owners.noteCrash(event)
        break
      case 'commit':
        this.#commits.noteCommit(event, this.#line)
        this.#owners.noteCommit(event)
        break
      case 'txn':
        this.#noteTransactionEnd(event)
        break
      case 'committed':
        this.#commits.noteCommitted(event, this.#line)
        break
      case 'list_offsets':
        this.#noteEnds(event)
        break
      default: // faults and the end are there for the reader of an excerpt
    }
  }

  finish(): Verdict {
    this.#order.finish()
    this.#readers.finish(this.#order)
    return { anomalies: this.#anomalies.found, counts: this.#anomalies.counts, events: this.#events }
  }

  #count(what: string, by: number): void {
    this.#events.set(what, (this.#events.get(what) ?? 0) + by)
  }

  #noteAckedEnd({ type, topic, partition, offset }: Send): void {
    if (type === 'ok' && offset !== undefined) raise(this.#ends, placeName(topic, partition), offset + 1)
  }

  /** The offsets of a group that it commits are in effect when it is: not before it is asked for, and surely not once it is aborted. */
  #noteTransactionEnd(event: HistoryEvent & TransactionEnd): void {
    this.#order.transactions.noteEnd(event)
    const { process, type, end, group, generation, offsets } = event
    if (group === undefined || offsets === undefined || end !== 'commit') return
    const commit = { ...event, op: 'commit', process, type, group, offsets, ...(generation === undefined ? {} : { generation }) } as const
    this.#commits.noteCommit(commit, this.#line)
    this.#owners.noteCommit(commit)
  }

  #noteEnds({ process, type, isCommitted = false, offsets = [] }: HistoryEvent & ListOffsets): void {
    const ends = isCommitted ? this.#stableEnds : this.#ends
    if (type === 'invoke') {
      this.#endsWhenAsked.set(process, new Map(ends))
      return
    }
    const least = this.#endsWhenAsked.get(process)
    for (const [topic, partition, end] of offsets) {
      const place = placeName(topic, partition)
      const known = least?.get(place) ?? 0
      if (end < known) {
        const what = isCommitted ? 'its last stable offset was said to be' : 'it was said to end at'
        const detail = `${what} ${end}, after ${known} records were acked or it was said to be there`
        this.#anomalies.add({ kind: 'end offset', place, detail, values: [], offsets: [end, known] })
      }
      raise(ends, place, end)
      // What is stable is there.
      if (isCommitted) raise(this.#ends, place, end)
    }
  }
}

function raise(ends: Map<string, number>, place: string, end: number): void {
  if (end > (ends.get(place) ?? 0)) ends.set(place, end)
}
