import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { type Broker, startTestBroker } from '@tidelog/tidelog'

export { eventually } from './eventually.ts'

export interface RestartableBroker {
  readonly bootstrap: string
  /** Closes the broker and starts another on its directory and port. */
  restart(): Promise<void>
  /** Runs when the test ends, before the broker goes: clients that say goodbye need someone to hear it. */
  beforeItGoes(action: () => Promise<unknown>): void
}

/** A broker in this process whose directory outlives it, until the test ends. */
export async function restartableBroker(t: TestContext, config: Record<string, string> = {}): Promise<RestartableBroker> {
  const dir = await mkdtemp(join(tmpdir(), 'tidelog-clients-'))
  const start = (port: number) => startTestBroker({ config: { ...config, 'log.dirs': dir, listeners: `PLAINTEXT://127.0.0.1:${port}` } })
  let broker: Broker = await start(0)
  const { port, bootstrapServers } = broker
  const goodbyes: (() => Promise<unknown>)[] = []
  t.after(async () => {
    for (const goodbye of goodbyes) await goodbye()
    await broker.close()
    await rm(dir, { recursive: true, force: true })
  })
  return {
    bootstrap: bootstrapServers,
    beforeItGoes: (action) => goodbyes.push(action),
    async restart() {
      await broker.close()
      broker = await start(port)
    },
  }
}

/** Null keys, tombstones and ordinary records, by number. */
export function keyAndValue(i: number): { key: string | null; value: string | null } {
  return { key: i % 7 === 0 ? null : `key-${i % 11}`, value: i % 13 === 0 ? null : `value-${i}${'x'.repeat(i % 50)}` }
}
