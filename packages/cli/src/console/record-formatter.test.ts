import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PrintableRecord } from './printable-record.ts'
import { recordFormatter } from './record-formatter.ts'

const record: PrintableRecord = {
  topic: 't',
  partition: 0,
  offset: 6,
  timestamp: 1795258282555,
  timestampType: 'CreateTime',
  key: Buffer.from('k4'),
  value: Buffer.from('v4'),
  headers: [
    { key: 'h1', value: Buffer.from('v1') },
    { key: 'h2', value: null },
  ],
}
const print = (properties: Record<string, string>, of: PrintableRecord = record, name = 'DefaultMessageFormatter') =>
  recordFormatter(`org.apache.kafka.tools.consumer.${name}`, new Map(Object.entries(properties)))(of).toString()

test('only the value is printed unless more is asked for', () => {
  assert.equal(print({}), 'v4\n')
  assert.equal(print({ 'print.value': 'false', 'print.key': 'true' }), 'k4\n')
})

test('everything at once stands in the order of Kafka', () => {
  const all = Object.fromEntries(
    ['timestamp', 'partition', 'offset', 'delivery', 'epoch', 'headers', 'key'].map((name) => [`print.${name}`, 'true']),
  )
  assert.equal(
    print(all),
    'CreateTime:1795258282555\tPartition:0\tOffset:6\tDelivery:NOT_PRESENT\tEpoch:NOT_PRESENT\th1:v1,h2:null\tk4\tv4\n',
  )
  assert.equal(
    print(all, { ...record, timestamp: -1, leaderEpoch: 3, headers: [], key: null, value: null }),
    'NO_TIMESTAMP\tPartition:0\tOffset:6\tDelivery:NOT_PRESENT\tEpoch:3\tNO_HEADERS\tnull\tnull\n',
  )
})

test('separators and the literal for null can be chosen', () => {
  const properties = { 'print.key': 'true', 'key.separator': '-', 'line.separator': '|', 'null.literal': 'NIL' }
  assert.equal(print(properties, { ...record, key: null }), 'NIL-v4|')
})

test('bytes that are no text are printed as they are', () => {
  const bytes = recordFormatter('DefaultMessageFormatter', new Map())({ ...record, value: Buffer.from([0xff, 0x00]) })
  assert.deepEqual([...bytes], [0xff, 0x00, 0x0a])
})

test('numbers are read by the deserializers of Kafka, which insist on their size', () => {
  const long = Buffer.alloc(8)
  long.writeBigInt64BE(-(2n ** 62n))
  const properties = { 'value.deserializer': 'org.apache.kafka.common.serialization.LongDeserializer' }
  assert.equal(print(properties, { ...record, value: long }), '-4611686018427387904\n')
  assert.throws(() => print(properties), /Size of data received is not 8/)
  assert.throws(() => print({ 'value.deserializer': 'com.example.Avro' }), /There is no deserializer com.example.Avro/)
})

test('NoOpMessageFormatter prints nothing, an unknown formatter is refused', () => {
  assert.equal(print({}, record, 'NoOpMessageFormatter'), '')
  assert.throws(() => print({}, record, 'FancyFormatter'), /There is no formatter/)
})
