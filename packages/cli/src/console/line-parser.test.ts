import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lineFormat, parseLine } from './line-parser.ts'

const format = (properties: Record<string, string>) => lineFormat(new Map(Object.entries(properties)))
const keyed = { 'parse.key': 'true' }
const headed = { ...keyed, 'parse.headers': 'true' }

test('a line is a value, or key and value, or headers, key and value', () => {
  assert.deepEqual(parseLine('a\tb', 1, format({})), { key: null, value: 'a\tb', headers: [] })
  assert.deepEqual(parseLine('k\tv\tw', 1, format(keyed)), { key: 'k', value: 'v\tw', headers: [] })
  assert.deepEqual(parseLine('h1:v1,h2:v2\tk\tv', 1, format(headed)), {
    key: 'k',
    value: 'v',
    headers: [
      { key: 'h1', value: 'v1' },
      { key: 'h2', value: 'v2' },
    ],
  })
  assert.deepEqual(parseLine('k:v:w', 1, format({ ...keyed, 'key.separator': ':' })), { key: 'k', value: 'v:w', headers: [] })
})

test('the null marker makes a key, a value, a header value or all headers null', () => {
  const marked = { ...headed, 'null.marker': 'NULL' }
  assert.deepEqual(parseLine('h:NULL\tNULL\tNULL', 1, format(marked)), { key: null, value: null, headers: [{ key: 'h', value: null }] })
  assert.deepEqual(parseLine('NULL\tk\tv', 1, format(marked)).headers, [])
  assert.throws(() => parseLine('NULL:1\tk\tv', 1, format(marked)), /Header keys should not be equal to the null marker/)
})

test('a missing separator ends the run in the words of Kafka, or is ignored when asked', () => {
  assert.throws(() => parseLine('nokey', 3, format(keyed)), { message: "No key separator found on line number 3: 'nokey'" })
  assert.throws(() => parseLine('bad\tk\tv', 1, format(headed)), {
    message: "No header key separator found in pair 'bad' on line number 1",
  })
  assert.deepEqual(parseLine('nokey', 1, format({ ...keyed, 'ignore.error': 'true' })), { key: null, value: 'nokey', headers: [] })
})

test('separators that could not be told apart are refused', () => {
  assert.throws(() => format({ ...headed, 'headers.separator': ':' }), {
    message: 'headers.separator and headers.key.separator may not be equal',
  })
  assert.throws(() => format({ 'null.marker': '\t' }), { message: 'null.marker and key.separator may not be equal' })
})
