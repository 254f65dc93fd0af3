import assert from 'node:assert/strict'
import { test } from 'node:test'
import { libuvOffload } from './offload.ts'

test('no more tasks run at a time than allowed, and all of them end', async () => {
  const offload = libuvOffload({ concurrency: 3 })
  let running = 0
  let most = 0
  const started: number[] = []
  const results = await Promise.all(
    Array.from({ length: 5000 }, (_, index) =>
      offload.run({
        name: 'count',
        run: async () => {
          started.push(index)
          most = Math.max(most, ++running)
          await Promise.resolve()
          running--
          return index
        },
      }),
    ),
  )
  assert.equal(most, 3)
  assert.deepEqual(
    results,
    Array.from({ length: 5000 }, (_, index) => index),
  )
  assert.deepEqual(started, results)
})

test('a task that fails, even before it waits, rejects its own run and frees its place', async () => {
  const offload = libuvOffload({ concurrency: 1 })
  const failing = offload.run({
    name: 'fail',
    run: () => {
      throw new Error('broken')
    },
  })
  const next = offload.run({ name: 'next', run: async () => 'done' })
  await assert.rejects(failing, /broken/)
  assert.equal(await next, 'done')
})
