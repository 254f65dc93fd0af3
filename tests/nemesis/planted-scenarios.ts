import assert from 'node:assert/strict'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { seededRandom } from '@tidelog/core'
import { type BatteredBroker, tearTail, until } from './battered-broker.ts'
import { applyDrops, controlFiles } from './lying-disks.ts'

export const LIMIT_MS = 60_000

/** What happens to a broker under load. */
export interface Scenario {
  /** What the topic needs. */
  readonly configs: Readonly<Record<string, string>>
  act(ground: {
    readonly broker: BatteredBroker
    /** What the disk's control files begin with. */
    readonly control: string
    /** Folders of partitions that are written to. */
    readonly partitionDirs: () => readonly string[]
    /** Waits until the load has so many more acks, or can have no more. */
    readonly acks: (count: number) => Promise<void>
  }): Promise<void>
}

export const kill: Scenario = {
  configs: {},
  async act({ broker, acks }) {
    await acks(300)
    await broker.kill()
    await broker.start()
  },
}

export const killAmidWrites: Scenario = {
  configs: {},
  async act({ broker, partitionDirs, acks }) {
    for (let round = 0; round < 2; round++) {
      await acks(300)
      await broker.kill()
      for (const dir of partitionDirs()) assert.ok(tearTail(dir, seededRandom(round)))
      await broker.start()
    }
  },
}

/** Only an ack that waited for fsync says anything of a disk that forgets what was not synced. */
export const failFsync: Scenario = {
  configs: { 'flush.messages': '1' },
  async act({ broker, control, acks }) {
    const { failsWhile, dropsTo } = controlFiles(control)
    await acks(300)
    writeFileSync(failsWhile, '')
    await until(() => existsSync(dropsTo), LIMIT_MS, 'an fsync fails')
    rmSync(failsWhile)
    // A broker that knows what a failed fsync means has stopped or is about to; any other gets time for some more acks.
    await Promise.race([broker.ended(), acks(300)])
    await broker.kill()
    await applyDrops(dropsTo)
    await broker.start()
  },
}

/** The page cache still has what the disk has not, and the retries of its producers are acked as known; only then the machine goes down. */
export const failFsyncThenPower: Scenario = {
  configs: { 'flush.messages': '1' },
  async act({ broker, control, acks }) {
    const { failsWhile, dropsTo } = controlFiles(control)
    await acks(300)
    writeFileSync(failsWhile, '')
    await broker.ended()
    rmSync(failsWhile)
    await broker.start()
    await acks(300)
    await broker.kill()
    await applyDrops(dropsTo)
    await broker.start()
  },
}
