import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorByCode, errorName, errorTable, KafkaError } from './errors.ts'

test('every code from -1 to 133 stands in the table once', () => {
  const codes = Object.values(errorTable).map(({ code }) => code)
  assert.deepEqual(
    codes.toSorted((a, b) => a - b),
    Array.from({ length: 135 }, (_, index) => index - 1),
  )
})

test('a code from the wire finds its name, an unknown one is UNKNOWN_SERVER_ERROR', () => {
  assert.equal(errorName(6), 'NOT_LEADER_OR_FOLLOWER')
  assert.equal(errorName(9999), 'UNKNOWN_SERVER_ERROR')
  assert.deepEqual(errorByCode(87), { errorName: 'INVALID_RECORD', ...errorTable.INVALID_RECORD })
})

test('a KafkaError carries its row, and says what it means when nothing else is said', () => {
  const error = new KafkaError('CORRUPT_MESSAGE')
  assert.equal(error.code, 2)
  assert.equal(error.retriable, true)
  assert.equal(error.message, errorTable.CORRUPT_MESSAGE.meaning)
  assert.equal(new KafkaError('NONE', 'said').message, 'said')
})
