import test from 'node:test'
import { runNemesis } from './nemesis.ts'

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_000)

test('L1, L17, L18, X7: franz-go clients lose nothing of what was acked or committed, nor get it twice or a part of a transaction, in a minute of kills, pauses, full disks and fsync errors', async (t) => {
  const summary = await runNemesis({ seconds: 60, seed, say: (line) => process.stdout.write(`${line}\n`) })
  for (const line of summary) t.diagnostic(line)
})
