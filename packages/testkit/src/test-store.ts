import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { silentLogger } from '@tidelog/core'
import { EmbeddedStore } from '@tidelog/metadata'
import { ManualClock } from './manual-clock.ts'

/** A store in a directory of its own, closed and removed with the test; in `dir`, if it is given, which stays. */
export async function openTestStore(t: TestContext, dir?: string, clock = new ManualClock()): Promise<EmbeddedStore> {
  const path = dir ?? (await mkdtemp(join(tmpdir(), 'tidelog-metadata-')))
  const store = await EmbeddedStore.open({ dir: path, clock, logger: silentLogger })
  t.after(async () => {
    await store.close()
    if (dir === undefined) await rm(path, { recursive: true, force: true })
  })
  return store
}
