import assert from 'node:assert/strict'
import { test } from 'node:test'
import { resetDurationMs } from './auto-offset-reset.ts'

const dayMs = 86_400_000

test('by_duration takes what java.time.Duration takes, and nothing negative', () => {
  const durations: Readonly<Record<string, number | undefined>> = {
    PT1H: 3_600_000,
    P1D: dayMs,
    P2DT3H4M5S: 2 * dayMs + 3 * 3_600_000 + 4 * 60_000 + 5000,
    'PT0.5S': 500,
    'PT1,25S': 1250,
    'PT1.S': 1000,
    pt10m: 600_000,
    'PT-1H61M': 60_000,
    '+PT1M': 60_000,
    PT0S: 0,
    '-PT-1M': 60_000,
    '-PT1M': undefined,
    'PT-1S': undefined,
    P: undefined,
    PT: undefined,
    P1DT: undefined,
    PT1D: undefined,
    P1H: undefined,
    P1Y: undefined,
    '1h': undefined,
    'PT0.1234567890S': undefined,
    'PT1H ': undefined,
    '': undefined,
  }
  for (const [text, ms] of Object.entries(durations)) assert.equal(resetDurationMs(`by_duration:${text}`), ms, text)
  for (const policy of ['by_duration', 'by_duration:', 'BY_DURATION:PT1H', 'earliest'])
    assert.equal(resetDurationMs(policy), undefined, policy)
})
