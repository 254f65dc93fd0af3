import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32c } from './crc32c.ts'

test('crc32c has the check value of CRC-32C and goes on from a seed', () => {
  const bytes = Buffer.from('123456789')
  assert.equal(crc32c(bytes), 0xe3069283)
  assert.equal(crc32c(bytes.subarray(4), crc32c(bytes.subarray(0, 4))), 0xe3069283)
  assert.equal(crc32c(Buffer.alloc(0)), 0)
})
