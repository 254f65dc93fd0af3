import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDateTime, parseDuration } from './iso-time.ts'

test('a time without a zone is UTC; zones are honoured with or without their colon', () => {
  const noon = Date.UTC(2020, 0, 1, 12)
  assert.equal(parseDateTime('2020-01-01T12:00:00.000'), noon)
  assert.equal(parseDateTime('2020-01-01T12:00:00.000Z'), noon)
  assert.equal(parseDateTime('2020-01-01T14:00:00.000+02:00'), noon)
  assert.equal(parseDateTime('2020-01-01T14:00:00.000+0200'), noon)
  assert.throws(() => parseDateTime('bogus'), /It does not contain a 'T' according to ISO8601 format/)
  assert.throws(() => parseDateTime('2020-13-99T00:00:00.000'), /Unparseable date/)
})

test('durations have days, hours, minutes and seconds, each optional but not all missing', () => {
  assert.equal(parseDuration('PT1H'), 3_600_000)
  assert.equal(parseDuration('P1DT2H3M4.5S'), 93_784_500)
  assert.equal(parseDuration('-PT10S'), -10_000)
  for (const bad of ['', 'P', 'PT', 'P1DT', '1H', 'PT1X']) assert.throws(() => parseDuration(bad), /Text cannot be parsed to a Duration/)
})
