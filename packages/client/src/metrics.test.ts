import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Rate, Spread } from './metrics.ts'

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

test('a spread is of the last window and the one under way: its mean is of single things, and without any it is NaN', () => {
  const spread = new Spread()
  assert.deepEqual([spread.avg(0), spread.max(0), spread.min(0)], [Number.NaN, Number.NaN, Number.NaN])
  spread.record(10, 0)
  spread.record(20, 10_000, 4)
  assert.deepEqual([spread.avg(10_000), spread.max(10_000), spread.min(10_000)], [6, 20, 10])
  spread.record(1, 30_000)
  assert.deepEqual([spread.avg(30_000), spread.max(30_000), spread.min(30_000)], [31 / 6, 20, 1])
  assert.deepEqual([spread.avg(60_000), spread.max(60_000), spread.min(60_000)], [1, 1, 1])
  spread.record(5, 60_000)
  assert.deepEqual([spread.avg(150_000), spread.max(150_000)], [Number.NaN, Number.NaN])
})
