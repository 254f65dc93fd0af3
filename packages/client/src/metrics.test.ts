import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Rate } from './metrics.ts'

test('a rate is of the last window and the one under way, and forgets what was before', () => {
  const rate = new Rate()
  rate.record(30, 0)
  assert.equal(rate.perSecond(1000), 1, 'over a whole window at least')
  rate.record(60, 29_000)
  assert.equal(rate.perSecond(30_000), 3)
  assert.equal(rate.perSecond(59_999), 90 / 59.999)
  assert.equal(rate.perSecond(60_000), 0)
  rate.record(30, 60_000)
  assert.equal(rate.perSecond(75_000), 30 / 45)
  assert.equal(rate.perSecond(600_000), 0)
})
