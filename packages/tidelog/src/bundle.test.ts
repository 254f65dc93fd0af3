import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { promisify } from 'node:util'

const bundle = new URL('../../../dist/index.js', import.meta.url).href

/** What a user's program does with the published files: one topic of several segments, compacted. */
const program = `
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Admin, Producer, startBroker, string } from ${JSON.stringify(bundle)}
const broker = await startBroker({ config: { 'log.cleaner.backoff.ms': '20' } })
const { bootstrapServers } = broker
const admin = new Admin({ bootstrapServers })
const configs = { 'cleanup.policy': 'compact', 'segment.bytes': '1048576', 'min.cleanable.dirty.ratio': '0.1' }
await admin.createTopics([{ topic: 'compacted', numPartitions: 1, configs }])
const producer = new Producer({ bootstrapServers, keySerializer: string, valueSerializer: string })
const value = 'x'.repeat(1000)
await Promise.all(Array.from({ length: 3000 }, (_, index) => producer.send({ topic: 'compacted', key: 'key ' + (index % 100), value })))
const checkpoint = join(broker.config['log.dirs'][0], 'cleaner-offset-checkpoint')
for (let text = ''; !text.includes('compacted 0 '); ) {
  await new Promise((resolve) => setTimeout(resolve, 20))
  try {
    text = readFileSync(checkpoint, 'utf8')
  } catch {}
}
await producer.close()
await admin.close()
await broker.close()
console.log('compacted')
`

test('the published files hold what runs in threads: a broker from them compacts a log of several segments, and its process ends', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], { timeout: 60_000 })
  assert.equal(stdout, 'compacted\n')
})

test("what importing 'tidelog' loads has none of the packages that only some serdes need", () => {
  const peers = Object.keys(JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')).peerDependencies)
  assert.ok(peers.length > 0)
  const pending = [bundle]
  const seen = new Set(pending)
  for (let url = pending.pop(); url !== undefined; url = pending.pop()) {
    for (const [, id = ''] of readFileSync(new URL(url), 'utf8').matchAll(/^(?:import|export)\b[^"]*?"([^"]+)";$/gm)) {
      assert.ok(!peers.some((peer) => id === peer || id.startsWith(`${peer}/`)), `${url} imports ${id}`)
      if (!id.startsWith('.')) continue
      const next = new URL(id, url).href
      if (!seen.has(next)) pending.push(next)
      seen.add(next)
    }
  }
  assert.ok(seen.size > 3)
})
