import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { type FSWatcher, mkdtempSync, readdirSync, rmSync, watch } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { seededRandom } from '@tidelog/core'
import { verifyPartition } from '@tidelog/storage'
import { recordsIn } from '@tidelog/testkit'
import { keys, openCompacted } from './compacting-process.ts'

const script = fileURLToPath(new URL('./compacting-process.js', import.meta.url))
const seed = Number(process.env.SEED ?? 7)
const kills = Number(process.env.ROUNDS ?? 2)

/**
 * Resolves with the last rounds that were begun and acked, once the process is dead: it is killed when it has acked `rounds`, a file of that suffix
 * comes into being, and `afterMs` have passed.
 */
async function killed(dir: string, when: { rounds: number; suffix: string; afterMs: number }): Promise<{ begun: number; acked: number }> {
  const child: ChildProcess = spawn(process.execPath, [script, dir], { stdio: ['ignore', 'pipe', 'inherit'] })
  let watcher: FSWatcher | undefined
  const gone = new Promise((resolve) => child.once('close', resolve)).finally(() => watcher?.close())
  let text = ''
  child.stdout?.setEncoding('utf8').on('data', (more: string) => {
    text += more
    if (text.split('acked').length <= when.rounds) return
    watcher ??= watch(join(dir, 't-0'), (_, name) => {
      if (name?.endsWith(when.suffix) === true) setTimeout(() => child.kill('SIGKILL'), when.afterMs)
    })
  })
  await gone
  const last = (what: string): number => Number([...text.matchAll(new RegExp(`${what} (\\d+)`, 'g'))].at(-1)?.[1] ?? -1)
  return { begun: last('begun'), acked: last('acked') }
}

test(`L4: kill -9 while a thread compacts, ${kills} times (SEED=${seed}): every key has its last acked value, or a later one`, async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'tidelog-crash-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  const random = seededRandom(seed)
  const left = new Set<string>()
  for (let kill = 0; kill < kills; kill++) {
    const suffix = kill % 2 === 0 ? '.log.cleaned' : '.log.swap'
    const { begun, acked } = await killed(dir, { rounds: 4, suffix, afterMs: random.int(4) })
    assert.ok(acked >= 0)
    for (const name of readdirSync(join(dir, 't-0'))) left.add(name.replace(/^\d+/, ''))
    const manager = await openCompacted(dir, 1e15)
    const log = manager.getLog('t', 0)!
    log.updateHighWatermark(log.logEndOffset)
    if (kill % 2 === 1) await manager.cleanLogs()
    const newest = new Map<string, number>()
    for (let startOffset = 0; startOffset < log.logEndOffset; ) {
      const { records } = await log.read({ startOffset, maxBytes: 1 << 20, endOffset: log.logEndOffset, atLeastOneBatch: true })
      for (const { offset, key, value } of recordsIn(records)) {
        const round = Number.parseInt(value!, 10)
        assert.equal(offset, round * keys + Number(key!.slice(4)), 'every record is at the offset that it got')
        newest.set(key!, round)
        startOffset = offset + 1
      }
    }
    assert.equal(newest.size, keys)
    for (const [key, round] of newest) assert.ok(round >= acked && round <= begun, `${key} is of round ${round}, ${acked} was acked`)
    // The next process begins with a whole round.
    await log.truncateTo((acked + 1) * keys)
    await manager.close()
    assert.deepEqual((await verifyPartition(join(dir, 't-0'))).problems, [])
  }
  t.diagnostic(`the kills left ${[...left].sort().join(' ')}`)
})
