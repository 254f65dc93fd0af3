import { groupMetadataFormatter, offsetsFormatter } from './group-record-formatters.ts'
import type { PrintableRecord, RecordFormatter } from './printable-record.ts'

/** A consumed record as `console-consumer` prints it: the bytes of Kafka's DefaultMessageFormatter. */

type Deserializer = (bytes: Buffer) => Uint8Array

export const formatterNames = [
  'DefaultMessageFormatter',
  'LoggingMessageFormatter',
  'NoOpMessageFormatter',
  'OffsetsMessageFormatter',
  'GroupMetadataMessageFormatter',
] as const

/**
 * The formatter that `--formatter` names by Kafka's class (with or without its package), set up by `properties`.
 * @throws Error for a class that is not there, and for an unknown deserializer.
 */
export function recordFormatter(className: string, properties: ReadonlyMap<string, string>): RecordFormatter {
  const name = className.slice(className.lastIndexOf('.') + 1)
  if (name === 'DefaultMessageFormatter' || name === 'LoggingMessageFormatter') return defaultFormatter(properties)
  if (name === 'NoOpMessageFormatter') return () => Buffer.alloc(0)
  if (name === 'OffsetsMessageFormatter') return offsetsFormatter
  if (name === 'GroupMetadataMessageFormatter') return groupMetadataFormatter
  throw new Error(`There is no formatter ${className}; there are ${formatterNames.join(', ')}`)
}

function defaultFormatter(properties: ReadonlyMap<string, string>): RecordFormatter {
  const prints = (name: string, otherwise = false) =>
    (properties.get(`print.${name}`)?.trim().toLowerCase() ?? String(otherwise)) === 'true'
  const bytes = (name: string, otherwise: string) => Buffer.from(properties.get(name) ?? otherwise)
  const separator = bytes('key.separator', '\t')
  const lineSeparator = bytes('line.separator', '\n')
  const headersSeparator = bytes('headers.separator', ',')
  const nullLiteral = bytes('null.literal', 'null')
  const keyDeserializer = deserializer(properties.get('key.deserializer'))
  const valueDeserializer = deserializer(properties.get('value.deserializer'))
  const headersDeserializer = deserializer(properties.get('headers.deserializer'))
  const show = (data: Uint8Array | null, read: Deserializer) => (data === null ? nullLiteral : read(asBuffer(data)))

  const columns: ((record: PrintableRecord) => Uint8Array[])[] = []
  const textColumn = (wanted: boolean, text: (record: PrintableRecord) => string) => {
    if (wanted) columns.push((record) => [Buffer.from(text(record))])
  }
  textColumn(prints('timestamp'), ({ timestamp, timestampType }) => (timestamp === -1 ? 'NO_TIMESTAMP' : `${timestampType}:${timestamp}`))
  textColumn(prints('partition'), ({ partition }) => `Partition:${partition}`)
  textColumn(prints('offset'), ({ offset }) => `Offset:${offset}`)
  // Deliveries are counted for share groups only, which this consumer is not a member of.
  textColumn(prints('delivery'), () => 'Delivery:NOT_PRESENT')
  textColumn(prints('epoch'), ({ leaderEpoch }) => `Epoch:${leaderEpoch ?? 'NOT_PRESENT'}`)
  if (prints('headers')) {
    columns.push(({ headers }) => {
      if (headers.length === 0) return [Buffer.from('NO_HEADERS')]
      return headers.flatMap(({ key, value }, i) => [
        ...(i === 0 ? [] : [headersSeparator]),
        Buffer.from(`${key}:`),
        show(value, headersDeserializer),
      ])
    })
  }
  if (prints('key')) columns.push(({ key }) => [show(key, keyDeserializer)])
  if (prints('value', true)) columns.push(({ value }) => [show(value, valueDeserializer)])
  return (record) => {
    const chunks: Uint8Array[] = []
    for (const [i, column] of columns.entries()) {
      if (i > 0) chunks.push(separator)
      chunks.push(...column(record))
    }
    chunks.push(lineSeparator)
    return Buffer.concat(chunks)
  }
}

const asBuffer = (data: Uint8Array) => Buffer.from(data.buffer, data.byteOffset, data.byteLength)

/** What Java's deserializer of that class yields, printed. Text and plain bytes pass unchanged. */
const deserializers: ReadonlyMap<string, Deserializer> = new Map<string, Deserializer>([
  ['StringDeserializer', (data) => data],
  ['ByteArrayDeserializer', (data) => data],
  ['BytesDeserializer', (data) => data],
  ['ByteBufferDeserializer', (data) => data],
  ['ShortDeserializer', sized(2, (data) => String(data.readInt16BE()))],
  ['IntegerDeserializer', sized(4, (data) => String(data.readInt32BE()))],
  ['LongDeserializer', sized(8, (data) => String(data.readBigInt64BE()))],
  ['FloatDeserializer', sized(4, (data) => decimal(data.readFloatBE()))],
  ['DoubleDeserializer', sized(8, (data) => decimal(data.readDoubleBE()))],
  ['BooleanDeserializer', sized(1, (data) => String(data[0] !== 0))],
])

function sized(length: number, read: (data: Buffer) => string): Deserializer {
  return (data) => {
    if (data.length !== length) throw new Error(`Size of data received is not ${length}`)
    return Buffer.from(read(data))
  }
}

/** Java prints a whole number of a floating type with a fraction. */
function decimal(value: number): string {
  return Number.isInteger(value) ? value.toFixed(1) : String(value)
}

function deserializer(className: string | undefined): Deserializer {
  if (className === undefined) return (data) => data
  const found = deserializers.get(className.slice(className.lastIndexOf('.') + 1))
  if (found === undefined) throw new Error(`There is no deserializer ${className}; there are ${[...deserializers.keys()].join(', ')}`)
  return found
}
