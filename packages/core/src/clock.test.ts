import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { systemClock } from './clock.ts'

test('a delay that setTimeout cannot take does not fire at once', () => {
  mock.timers.enable({ apis: ['setTimeout'] })
  try {
    let fired = 0
    const timer = systemClock.setTimer(2 ** 31 + 1000, () => fired++)
    mock.timers.tick(2 ** 31 - 2)
    assert.equal(fired, 0)
    timer.cancel()
    mock.timers.tick(2 ** 31 - 1)
    assert.equal(fired, 0)
  } finally {
    mock.timers.reset()
  }
})

test('a cancelled timer does not fire, others fire once', async () => {
  const fired: string[] = []
  systemClock.setTimer(1, () => fired.push('cancelled')).cancel()
  await new Promise<void>((resolve) => {
    systemClock.setTimer(2, () => {
      fired.push('due')
      resolve()
    })
  })
  assert.deepEqual(fired, ['due'])
})
