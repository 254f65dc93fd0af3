import test from 'node:test'
import { counts } from '../faults/broker-process.ts'
import { hasGo } from './load.ts'
import { runNemesis } from './nemesis.ts'

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_000)
const minutes = Number(process.env.TIDELOG_NEMESIS_MINUTES ?? counts(1, 10))

test('L1, L17, L18, X7: franz-go clients lose nothing of what was acked or committed, nor get it twice or a part of a transaction, in kills, pauses, full disks and fsync errors', async (t) => {
  if (!(await hasGo())) return t.skip('there is no Go')
  const summary = await runNemesis({ seconds: minutes * 60, seed, say: (line) => process.stdout.write(`${line}\n`) })
  for (const line of summary) t.diagnostic(line)
})
