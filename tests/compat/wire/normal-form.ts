/**
 * What an answer says, without what must differ between two brokers: ids become names in their order of appearance, times become distances from
 * now, and addresses go. Record bytes become what a reader sees in them.
 */
import { iterateBatches, type KafkaRecord, type RecordBatch, readRecords } from '@tidelog/protocol'

/** Values of one broker that were seen before, so that the same one gets the same name. */
export class Names {
  readonly #names = new Map<string, Map<unknown, string>>()

  name(kind: string, value: unknown): string {
    const known = this.#names.get(kind) ?? new Map<unknown, string>()
    this.#names.set(kind, known)
    const name = known.get(value) ?? `${kind} ${known.size + 1}`
    known.set(value, name)
    return name
  }

  /** The name, if there is one already. */
  known(kind: string, value: unknown): string | undefined {
    return this.#names.get(kind)?.get(value)
  }

  set(kind: string, value: unknown, name: string): void {
    this.name(kind, value)
    this.#names.get(kind)!.set(value, name)
  }
}

const MINUTE_MS = 60_000
/** A number this near to now is a time; the scenarios' own timestamps lie years back. */
const NEAR_MS = 2 * 24 * 60 * MINUTE_MS
const MAX_OUTPUT_BYTES = 2 ** 26
/** Ids that scenarios make up begin here; a broker's own are below. */
const FIRST_PRODUCER_OF_SCENARIOS = 1_000_000
const noUuid = 'AAAAAAAAAAAAAAAAAAAAAA'

function time(value: number): string {
  const minutes = Math.round((value - Date.now()) / MINUTE_MS)
  return minutes === 0 ? 'now' : `now ${minutes > 0 ? '+' : ''}${minutes} min`
}

const isTime = (value: number): boolean => Math.abs(value - Date.now()) < NEAR_MS

/** Messages carry times, ids and paths of their broker. */
export function normalText(text: string, names: Names): string {
  return text
    .replace(/\b1[5-9]\d{11}\b/g, (digits) => (isTime(Number(digits)) ? time(Number(digits)) : digits))
    .replace(/\b[A-Za-z0-9_-]{21}[AQgw]\b/g, (id) => names.name('topic id', id))
    .replace(/\/tmp\/\S+/g, 'DIR')
}

export function normalForm(value: unknown, names: Names, key = ''): unknown {
  // Records that are not there are null or empty, as it comes.
  if (value === null || value === undefined) return key === 'records' ? [] : null
  if (Buffer.isBuffer(value)) return key === 'records' ? recordsOf(value, names) : value.toString('hex')
  if (Array.isArray(value))
    return inOrder(
      key,
      value.map((element) => normalForm(element, names, key)),
    )
  if (typeof value === 'object') {
    const form: Record<string, unknown> = {}
    for (const [name, field] of Object.entries(value)) form[name] = normalForm(field, names, name)
    return form
  }
  if (typeof value === 'bigint') return `${value}`
  if (typeof value === 'string') {
    if (key === 'topicId') return value === noUuid ? 'none' : names.name('topic id', value)
    if (key === 'clusterId' || key === 'logDir' || key === 'host') return key
    return normalText(value, names)
  }
  if (typeof value === 'number') {
    if (key === 'port') return key
    if (key === 'totalBytes' || key === 'usableBytes') return value > 0 ? 'some' : value
    if (key === 'sessionId') return value === 0 ? 0 : 'a session'
    if (key === 'producerId') return value >= 0 && value < FIRST_PRODUCER_OF_SCENARIOS ? 'a new producer' : value
    if (isTime(value)) return time(value)
    if (/leaderEpoch/i.test(key)) return names.known('leader epoch', value) ?? value
  }
  return value
}

/** Rows that Kafka gives in the order of a hash map; those of one name keep their order. */
const unordered = new Set([
  'topics',
  'responses',
  'partitions',
  'partitionResponses',
  'activeProducers',
  'topicResults',
  'resultsByPartition',
  'abortedTransactions',
])

function inOrder(key: string, rows: unknown[]): unknown[] {
  if (!unordered.has(key)) return rows
  const nameOf = (row: unknown): string => {
    if (typeof row === 'number') return `${row}`.padStart(8)
    const { name, topic, topicId, index, partition, partitionIndex, producerId } = row as Record<string, unknown>
    return [name, topic, topicId, index, partition, partitionIndex, producerId].map((part) => `${part}`.padStart(8)).join(' ')
  }
  return merged(rows)
    .map((row) => ({ row, name: nameOf(row) }))
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
    .map(({ row }) => row)
}

/** A topic may come in several entries. */
function merged(rows: readonly unknown[]): unknown[] {
  const topics = new Map<string, Record<string, unknown>>()
  const all: unknown[] = []
  for (const row of rows as Record<string, unknown>[]) {
    const { name, topic, topicId } = row
    const list = row.partitions === undefined ? 'partitionResponses' : 'partitions'
    const key = `${name} ${topic} ${topicId}`
    const known = topics.get(key)
    if (row[list] === undefined || known === undefined) {
      all.push(row)
      topics.set(key, row)
    } else {
      known[list] = inOrder('partitions', [...(known[list] as unknown[]), ...(row[list] as unknown[])])
    }
  }
  return all
}

/** What a reader sees in record bytes, each batch with its header. Compressed sizes are left out: they are the compressor's. */
export function recordsOf(bytes: Buffer, names: Names): unknown {
  const batches: unknown[] = []
  try {
    for (const batch of iterateBatches(bytes)) {
      batches.push(batchOf(batch, names))
    }
  } catch (error) {
    batches.push(`unreadable: ${error}`)
  }
  // Kafka fills the limit with the beginning of the next batch, or with padding where it has converted; readers pass over it. Ours ends whole.
  return batches
}

function batchOf(batch: RecordBatch, names: Names): unknown {
  const form: Record<string, unknown> = { magic: batch.magic, baseOffset: batch.baseOffset, crc: batch.isCrcValid ? 'right' : 'wrong' }
  let codecId: number
  if (batch.magic === 2) {
    codecId = batch.codecId
    form.attributes = batch.attributes
    form.lastOffsetDelta = batch.lastOffsetDelta
    form.partitionLeaderEpoch = normalForm(batch.partitionLeaderEpoch, names, 'leaderEpoch')
    form.baseTimestamp = normalForm(batch.baseTimestamp, names)
    form.maxTimestamp = normalForm(batch.maxTimestamp, names)
    form.producer = `${normalForm(batch.producerId, names, 'producerId')} epoch ${batch.producerEpoch} sequence ${batch.baseSequence}`
    form.recordsCount = batch.recordsCount
  } else {
    codecId = batch.buffer.readInt8(batch.at + 17) & 7
    form.attributes = batch.buffer.readInt8(batch.at + 17)
  }
  if (codecId === 0) form.sizeBytes = batch.sizeBytes
  try {
    form.content = [...readRecords(batch, { maxOutputBytes: MAX_OUTPUT_BYTES })].map((record) => recordOf(record, names))
  } catch (error) {
    form.content = `unreadable: ${error}`
  }
  return form
}

const MAX_SHOWN = 60

function recordOf({ offset, timestamp, key, value, headers }: KafkaRecord, names: Names): string {
  const text = (bytes: Buffer | null): string =>
    bytes === null ? 'null' : bytes.length > MAX_SHOWN ? `${bytes.length} bytes` : JSON.stringify(bytes.toString())
  const shown = headers.map((header) => `${header.key}=${text(header.value)}`).join(',')
  return `${offset} at ${normalForm(timestamp, names)}: ${text(key)} → ${text(value)}${shown === '' ? '' : ` [${shown}]`}`
}

export interface Difference {
  readonly label: string
  /** Where in the answer, as responses[0].errorCode. */
  readonly path: string
  readonly kafka: unknown
  readonly ours: unknown
}

/** Leaf by leaf; an array of another length, or an object where the other has none, is one difference. */
export function differences(label: string, kafka: unknown, ours: unknown, path = ''): Difference[] {
  if (Object.is(kafka, ours)) return []
  if (Array.isArray(kafka) && Array.isArray(ours) && kafka.length === ours.length) {
    return kafka.flatMap((element, index) => differences(label, element, ours[index], `${path}[${index}]`))
  }
  if (isObject(kafka) && isObject(ours)) {
    const keys = [...new Set([...Object.keys(kafka), ...Object.keys(ours)])]
    return keys.flatMap((key) => differences(label, kafka[key], ours[key], path === '' ? key : `${path}.${key}`))
  }
  return [{ label, path, kafka, ours }]
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)
