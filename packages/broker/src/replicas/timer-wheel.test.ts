import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '@tidelog/testkit'
import { TimerWheel } from './timer-wheel.ts'

test('waits end in order, never early and at most a tick late', () => {
  const clock = new ManualClock()
  const wheel = new TimerWheel(clock, { tickMs: 2 })
  const ended: [number, number][] = []
  for (const delay of [0, 1, 2, 3, 50, 51, 4000, 100_000]) wheel.add(delay, () => ended.push([delay, clock.monotonic()]))
  for (let step = 0; step < 100_010; step++) clock.advance(1)
  assert.deepEqual(
    ended.map(([delay]) => delay),
    [0, 1, 2, 3, 50, 51, 4000, 100_000],
  )
  for (const [delay, at] of ended) assert.ok(at >= delay && at <= delay + 3, `a wait of ${delay} ms ended after ${at}`)
  wheel.close()
})

test('a cancelled wait does not end, and an idle wheel holds no timer', () => {
  const clock = new ManualClock()
  const wheel = new TimerWheel(clock)
  const cancelled = wheel.add(10, () => assert.fail('was cancelled'))
  cancelled.cancel()
  clock.advance(100)
  assert.equal(clock.pendingTimers, 0)
  let ended = 0
  wheel.add(10, () => ended++)
  clock.advance(20)
  assert.equal(ended, 1)
  assert.equal(clock.pendingTimers, 0)
})

test('a jump over many turns of the wheel ends everything that is due, once', () => {
  const clock = new ManualClock()
  const wheel = new TimerWheel(clock, { tickMs: 1 })
  let ended = 0
  for (let delay = 0; delay < 10_000; delay += 7) wheel.add(delay, () => ended++)
  clock.advance(20_000)
  assert.equal(ended, Math.ceil(10_000 / 7))
})

test('nothing ends after close', () => {
  const clock = new ManualClock()
  const wheel = new TimerWheel(clock)
  wheel.add(10, () => assert.fail('closed'))
  wheel.close()
  wheel.add(10, () => assert.fail('closed'))
  clock.advance(100)
  assert.equal(clock.pendingTimers, 0)
})
