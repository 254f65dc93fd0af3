import { join } from 'node:path'
import test from 'node:test'
import { compatDir, exercise, installed, startBrokerProcess, succeed } from './harness.ts'

test('franz-go: topics, codecs, idempotence, groups, static members, commits, seeks, patterns, transactions, KIP-848, a restart', async (t) => {
  const dir = await installed('franz-go', () => Promise.resolve())
  const program = join(dir, 'exercise')
  await succeed('go', ['build', '-o', program, '.'], { cwd: join(compatDir, 'go'), timeoutMs: 300_000 })
  const broker = await startBrokerProcess(t)
  await exercise(program, [broker.bootstrap], { steps: 10, broker })
})
