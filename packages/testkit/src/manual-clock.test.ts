import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from './manual-clock.ts'

test('timers run in order of time, then of setting, and see the time they were due', () => {
  const clock = new ManualClock(1000)
  const ran: [string, number, number][] = []
  const note = (name: string) => () => ran.push([name, clock.now(), clock.monotonic()])
  clock.setTimer(20, note('b'))
  clock.setTimer(10, () => {
    note('a')()
    clock.setTimer(5, note('set on the way'))
  })
  clock.setTimer(20, note('c'))
  clock.setTimer(30, note('cancelled')).cancel()
  clock.setTimer(100, note('later'))
  clock.advance(50)
  assert.deepEqual(ran, [
    ['a', 1010, 10],
    ['set on the way', 1015, 15],
    ['b', 1020, 20],
    ['c', 1020, 20],
  ])
  assert.equal(clock.now(), 1050)
  assert.equal(clock.pendingTimers, 1)
})

test('the wall clock can step back without moving timers', () => {
  const clock = new ManualClock(1000)
  let fired = false
  clock.setTimer(10, () => {
    fired = true
  })
  clock.setWallTime(0)
  clock.advance(10)
  assert.ok(fired)
  assert.equal(clock.now(), 10)
  assert.equal(clock.monotonic(), 10)
})
