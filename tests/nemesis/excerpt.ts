import type { Anomaly } from './anomalies.ts'
import { type HistoryEvent, placeName } from './history.ts'

const MAX_LINES = 60
const MAX_FAULTS_BETWEEN = 2

/** The events of a history that an anomaly is about, cut down to the partition, values and offsets in question, and the faults around them. */
export class Excerpt {
  readonly #anomaly: Anomaly
  readonly #lines: string[] = []
  /** Since the last line; only the last few matter. */
  #faults: string[] = []

  constructor(anomaly: Anomaly) {
    this.#anomaly = anomaly
  }

  add(event: HistoryEvent): void {
    if (event.op === 'nemesis') {
      const line = `${stamp(event)} ${event.fault} ${event.type === 'invoke' ? 'begins' : 'is over'}`
      this.#faults = [...this.#faults, line].slice(-MAX_FAULTS_BETWEEN)
      return
    }
    const concerning = this.#partOf(event)
    if (concerning === undefined) return
    this.#lines.push(...this.#faults)
    this.#faults = []
    this.#lines.push(`${stamp(event)} ${event.client}, process ${event.process}: ${event.op} ${event.type} ${concerning}`)
  }

  get lines(): string[] {
    const lines = this.#lines
    if (lines.length <= MAX_LINES) return lines
    const half = MAX_LINES / 2
    return [...lines.slice(0, half), `… ${lines.length - MAX_LINES} more …`, ...lines.slice(-half)]
  }

  #partOf(event: HistoryEvent): string | undefined {
    const { place, values, offsets, group, transaction, process, kind } = this.#anomaly
    const error = 'error' in event && event.error !== undefined ? ` (${event.error})` : ''
    switch (event.op) {
      case 'send': {
        if (!values.includes(event.value)) return undefined
        const at = event.offset === undefined ? '' : ` at ${event.offset}`
        return `${event.value} to ${placeName(event.topic, event.partition)}${at}${error}`
      }
      case 'assign':
        if (process !== event.process) return undefined
        return event.offsets
          .filter(([topic, partition]) => placeName(topic, partition) === place)
          .map(([, , offset]) => offset)
          .join()
      case 'poll': {
        if (process !== undefined && process !== event.process) return undefined
        const found = (event.records ?? [])
          .filter(([topic, partition]) => placeName(topic, partition) === place)
          .flatMap(([, , records]) => records.filter(([offset, value]) => offsets.includes(offset) || values.includes(value)))
        if (found.length === 0) return event.type === 'fail' ? error : undefined
        return found.map(([offset, value]) => `${value} at ${offset}`).join(', ')
      }
      case 'txn': {
        const isOf = event.transaction === transaction
        if (!isOf && (group === undefined || group !== event.group)) return undefined
        const committing = (event.offsets ?? []).filter(([topic, partition]) => placeName(topic, partition) === place)
        if (!isOf && committing.length === 0) return undefined
        return `${event.end} of ${event.transaction} ${committing.map(([, , offset]) => offset).join(', ')}${error}`
      }
      case 'assigned':
      case 'revoked':
      case 'lost': {
        if (group !== event.group || kind === 'unseen by group') return undefined
        const isAbout = event.offsets.some(([topic, partition]) => placeName(topic, partition) === place)
        return isAbout ? `in generation ${event.generation}` : undefined
      }
      case 'commit':
      case 'committed':
      case 'list_offsets': {
        const isAbout = event.op === 'list_offsets' ? kind === 'end offset' : group === event.group && kind !== 'unseen by group'
        if (!isAbout) return undefined
        const found = (event.offsets ?? []).filter(([topic, partition]) => placeName(topic, partition) === place)
        if (found.length === 0 && event.type !== 'invoke') return undefined
        return `${found.map(([, , offset]) => offset).join(', ')}${error}`
      }
      default:
        return undefined
    }
  }
}

const stamp = ({ time }: HistoryEvent): string => `${(time / 1000).toFixed(3)} s`
