import { type Anomaly, type AnomalyKind, AnomalyList } from './anomalies.ts'
import { CommittedOffsets } from './committed-offsets.ts'
import { type HistoryEvent, type ListOffsets, placeName, type Send } from './history.ts'
import { ReaderPositions } from './reader-positions.ts'
import { VersionOrder } from './version-order.ts'

export interface Verdict {
  /** The first ones of every kind. */
  readonly anomalies: readonly Anomaly[]
  /** All of them. */
  readonly counts: ReadonlyMap<AnomalyKind, number>
  /** Events by op and outcome, as 'send ok'; 'read' counts records. */
  readonly events: ReadonlyMap<string, number>
}

/** Judges a history, event by event. Knows nothing of brokers: only of what was sent, acked and read. */
export class HistoryChecker {
  readonly #anomalies = new AnomalyList()
  readonly #order = new VersionOrder(this.#anomalies)
  readonly #readers = new ReaderPositions(this.#anomalies)
  readonly #commits = new CommittedOffsets(this.#anomalies)
  readonly #events = new Map<string, number>()
  /** Place → the least that its end can be by now. */
  readonly #ends = new Map<string, number>()
  /** Process → that, when it asked. */
  readonly #endsWhenAsked = new Map<number, ReadonlyMap<string, number>>()
  #line = 0

  add(event: HistoryEvent): void {
    this.#line++
    this.#count(`${event.op} ${event.type}`, 1)
    switch (event.op) {
      case 'send':
        this.#order.noteSend(event)
        this.#noteAckedEnd(event)
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
        break
      case 'commit':
        this.#commits.noteCommit(event, this.#line)
        break
      case 'committed':
        this.#commits.noteCommitted(event, this.#line)
        break
      case 'list_offsets':
        this.#noteEnds(event)
        break
      default: // crashes, faults and the end are there for the reader of an excerpt
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
    if (type === 'ok' && offset !== undefined) this.#raiseEnd(placeName(topic, partition), offset + 1)
  }

  #raiseEnd(place: string, end: number): void {
    if (end > (this.#ends.get(place) ?? 0)) this.#ends.set(place, end)
  }

  #noteEnds({ process, type, offsets = [] }: HistoryEvent & ListOffsets): void {
    if (type === 'invoke') {
      this.#endsWhenAsked.set(process, new Map(this.#ends))
      return
    }
    const least = this.#endsWhenAsked.get(process)
    for (const [topic, partition, end] of offsets) {
      const place = placeName(topic, partition)
      const known = least?.get(place) ?? 0
      if (end < known) {
        const detail = `it was said to end at ${end}, after ${known} records were acked or its end was said to be there`
        this.#anomalies.add({ kind: 'end offset', place, detail, values: [], offsets: [end, known] })
      }
      this.#raiseEnd(place, end)
    }
  }
}
