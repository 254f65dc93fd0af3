import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SerializationError } from '../errors.ts'
import { type Serializer, string } from '../serde/serde.ts'
import { RecordSerializer } from './record-serializer.ts'

const marking =
  (mark: string): Serializer<string> =>
  (text, { topic, isKey, headers }) => {
    headers!.push({ key: mark, value: `${topic} ${isKey} ${headers!.length}` })
    return Buffer.from(text)
  }
const header = (key: string, value: string | null) => ({ key, value: value === null ? null : Buffer.from(value) })

test("serializers see a record's headers and may add to them, the key's first; what the user gave stays as it is", () => {
  const serializer = new RecordSerializer<string, string>({ keySerializer: marking('k'), valueSerializer: marking('v') })
  const given = [{ key: 'own', value: null }]
  const record = { topic: 't', key: 'a', value: 'b', headers: given }
  for (const headers of [given, { own: null }]) {
    assert.deepEqual(serializer.serialize({ ...record, headers }, 7), {
      timestamp: 7,
      key: Buffer.from('a'),
      value: Buffer.from('b'),
      headers: [header('own', null), header('k', 't true 1'), header('v', 't false 2')],
    })
  }
  assert.deepEqual(given, [{ key: 'own', value: null }])
  assert.deepEqual(serializer.serialize({ topic: 't', value: 'b' }, 7), {
    timestamp: 7,
    key: null,
    value: Buffer.from('b'),
    headers: [header('v', 't false 0')],
  })
})

test('headers that a serializer adds behind a promise go along too', async () => {
  const valueSerializer: Serializer<string> = async (text, context) => {
    await Promise.resolve()
    return marking('later')(text, context)
  }
  const serializer = new RecordSerializer<string, string>({ keySerializer: string, valueSerializer })
  const { headers } = await serializer.serialize({ topic: 't', key: 'a', value: 'b' }, 7)
  assert.deepEqual(headers, [header('later', 't false 0')])
})

test('where no serializer looks at headers, a record has those that it was given', () => {
  const serializer = new RecordSerializer<string, string>({ valueSerializer: string })
  const bytes = { timestamp: 7, key: null, value: Buffer.from('b') }
  assert.deepEqual(serializer.serialize({ topic: 't', value: 'b' }, 7), bytes)
  const headers = [header('own', 'x')]
  assert.deepEqual(serializer.serialize({ topic: 't', value: 'b', headers: { own: 'x' } }, 7), { ...bytes, headers })
})

test('a header that is neither text nor bytes, and a timestamp that is none, are errors that name them', async () => {
  const later: Serializer<string> = async (text) => Buffer.from(text)
  const wrong = [
    [{ headers: { h: 5 } }, /header 'h' is number, not text, bytes or null/],
    [{ headers: [{ key: 7, value: 'x' }] }, /the name of a header is number, not text/],
    [{ timestamp: Number.NaN }, /timestamp NaN is not a whole number of ms/],
    [{ timestamp: -1 }, /timestamp -1 is not/],
    [{ timestamp: 1.5 }, /timestamp 1.5 is not/],
  ] as const
  for (const valueSerializer of [string, later]) {
    const serializer = new RecordSerializer<string, string>({ valueSerializer })
    for (const [what, message] of wrong) {
      const serialize = async () => serializer.serialize({ topic: 't', value: 'b', ...(what as object) }, 7)
      await assert.rejects(serialize, (error) => error instanceof SerializationError && message.test(error.message))
    }
  }
})
