import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConsumerGroupHeartbeat, LeaveGroup } from '@tidelog/protocol'
import { ManualClock, readValues, startProxied, until } from '@tidelog/testkit'
import type { Consumer } from './consumer.ts'
import { PollInterval } from './poll-interval.ts'
import { UserTurn } from './user-turn.ts'

const turnOfTheLoop = () => new Promise((resolve) => setImmediate(resolve))

test('short turns set one timer for all; the one that lasts is over to the ms, and once', async () => {
  const clock = new ManualClock()
  let timers = 0
  const counting = {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    setTimer: (ms: number, run: () => void) => {
      timers++
      return clock.setTimer(ms, run)
    },
  }
  const over: number[] = []
  const interval = new PollInterval({
    clock: counting,
    limitMs: 1000,
    busySinceMs: () => turn.sinceMs(),
    onOver: () => void over.push(clock.monotonic()),
  })
  const turn = new UserTurn(counting, () => interval.begin())
  const beganMs = clock.monotonic()
  for (let i = 0; i < 1000; i++) {
    turn.end()
    turn.begin()
    if (i % 100 === 0) await turnOfTheLoop()
    clock.advance(1)
  }
  assert.ok(timers <= 3, `${timers} timers`)
  turn.end()
  turn.begin()
  await turnOfTheLoop()
  clock.advance(999)
  assert.deepEqual(over, [])
  clock.advance(1)
  assert.deepEqual(over, [beganMs + 2000])
  clock.advance(10_000)
  assert.equal(over.length, 1)
  turn.end()
  clock.advance(10_000)
  turn.begin()
  await turnOfTheLoop()
  clock.advance(1000)
  assert.equal(over.length, 2, 'the next turn is watched too')
  interval.stop()
})

const ways: Readonly<Record<string, (consumer: Consumer<string, string>, work: () => Promise<void>) => Promise<void>>> = {
  async 'poll()'(consumer, work) {
    await readValues(consumer, 1)
    await work()
  },
  async 'records()'(consumer, work) {
    for await (const _ of consumer.records()) {
      await work()
      break
    }
  },
  async 'run()'(consumer, work) {
    const stop = new AbortController()
    await consumer.run({ eachRecord: () => work().finally(() => stop.abort()), signal: stop.signal })
  },
}

for (const groupProtocol of ['classic', 'consumer'] as const) {
  for (const [way, read] of Object.entries(ways)) {
    test(`G2: work that takes longer than maxPollIntervalMs costs the place when that is over, not at the next heartbeat: ${way} (${groupProtocol})`, async (t) => {
      const {
        send,
        consumer: make,
        proxy,
      } = await startProxied(t, {
        config: { 'group.consumer.max.heartbeat.interval.ms': '20000', 'group.consumer.heartbeat.interval.ms': '20000' },
      })
      await send('a', 0, 'v')
      const consumer = make({
        groupId: 'g',
        groupProtocol,
        maxPollIntervalMs: 300,
        ...(groupProtocol === 'classic' ? { heartbeatIntervalMs: 10_000 } : {}),
      })
      consumer.subscribe(['a'])
      const hasLeft = () =>
        groupProtocol === 'classic'
          ? proxy.requests(LeaveGroup).length > 0
          : proxy.requests(ConsumerGroupHeartbeat).some(({ request }) => request.memberEpoch < 0)
      let tookMs = 0
      await read(consumer, async () => {
        const beganMs = performance.now()
        await until(hasLeft)
        tookMs = performance.now() - beganMs
      })
      assert.ok(tookMs > 250 && tookMs < 5000, `${tookMs} ms`)
    })
  }
}
