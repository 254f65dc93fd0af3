import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Random, seededRandom, silentLogger } from '@tidelog/core'
import { ManualClock } from '@tidelog/testkit'
import { EmbeddedStore } from './embedded-store.ts'
import { isStoreError, StoreError } from './metadata-store.ts'
import type { StoreFile, StoreFiles } from './store-files.ts'

interface Inode {
  current: Buffer
  /** What a power cut leaves for certain. */
  synced: Buffer
}

/** A disk in memory that stops at its n-th step, and then shows what a power cut may have left. */
class BreakingDisk {
  #names = new Map<string, Inode>()
  #syncedNames = new Map<string, Inode>()
  #stepsLeft: number
  steps = 0

  constructor(stepsLeft = Number.POSITIVE_INFINITY) {
    this.#stepsLeft = stepsLeft
  }

  /** After a power cut: what was not synced is there, not there, or there in part. */
  recovered(random: Random): BreakingDisk {
    const disk = new BreakingDisk()
    const names = random.int(2) === 0 ? this.#names : this.#syncedNames
    for (const [name, { current, synced }] of names) {
      const content = tear(synced, current, random)
      disk.#names.set(name, { current: content, synced: content })
    }
    disk.#syncedNames = new Map(disk.#names)
    return disk
  }

  #step(): void {
    this.steps += 1
    if (this.#stepsLeft-- <= 0) throw new Error('EIO: the disk is gone')
  }

  get files(): StoreFiles {
    return {
      read: async (name) => {
        const inode = this.#names.get(name)
        return inode && Buffer.from(inode.current)
      },
      open: async (name, { truncate }) => {
        this.#step()
        const inode = this.#names.get(name) ?? { current: Buffer.alloc(0), synced: Buffer.alloc(0) }
        this.#names.set(name, inode)
        if (truncate) inode.current = Buffer.alloc(0)
        return this.#file(inode)
      },
      rename: async (from, to) => {
        this.#step()
        this.#names.set(to, this.#names.get(from)!)
        this.#names.delete(from)
      },
      remove: async (name) => {
        this.#step()
        this.#names.delete(name)
      },
      syncDirectory: async () => {
        this.#step()
        this.#syncedNames = new Map(this.#names)
      },
    }
  }

  #file(inode: Inode): StoreFile {
    return {
      write: async (bytes, position) => {
        // A failing write has written half of it.
        const failing = this.#stepsLeft <= 0
        const part = failing ? bytes.subarray(0, bytes.length >> 1) : bytes
        const end = position + part.length
        const grown = Buffer.alloc(Math.max(end, inode.current.length))
        inode.current.copy(grown)
        grown.set(part, position)
        inode.current = grown
        this.#step()
      },
      sync: async () => {
        this.#step()
        inode.synced = inode.current
      },
      truncate: async (length) => {
        this.#step()
        inode.current = Buffer.from(inode.current.subarray(0, length))
      },
      close: async () => {},
    }
  }
}

/** `synced`, and of what `current` adds: all, none, or any of its bytes with zeros in place of the others. */
function tear(synced: Buffer, current: Buffer, random: Random): Buffer {
  const kind = random.int(3)
  if (kind === 0 || current.length < synced.length) return Buffer.from(synced)
  if (kind === 1) return Buffer.from(current)
  const torn = Buffer.from(current.subarray(0, synced.length + random.int(current.length - synced.length + 1)))
  for (let at = synced.length; at < torn.length; at++) if (random.int(4) === 0) torn[at] = 0
  return torn
}

const open = (disk: BreakingDisk) =>
  EmbeddedStore.open({ dir: '/simulated', clock: new ManualClock(), logger: silentLogger, files: disk.files, snapshotAfterBytes: 1500 })

/** Creates and changes nodes until the disk breaks. @returns For each node the last value that was acknowledged and those asked for after it. */
async function workload(disk: BreakingDisk, random: Random): Promise<Map<string, { acked: string | undefined; asked: string[] }>> {
  const values = new Map<string, { acked: string | undefined; asked: string[] }>()
  let store: EmbeddedStore
  try {
    store = await open(disk)
  } catch {
    return values
  }
  const session = store.connect()
  for (let round = 0; round < 30; round++) {
    const writes = Array.from({ length: 1 + random.int(4) }, async () => {
      const path = `/node-${random.int(12)}`
      const value = `${round}-${random.int(1e6)}`
      const state = values.get(path) ?? { acked: undefined, asked: [] }
      values.set(path, state)
      state.asked.push(value)
      try {
        await session.create(path, Buffer.from(value)).catch((error) => {
          if (!isStoreError(error, 'NodeExists')) throw error
          return session.set(path, Buffer.from(value))
        })
        state.acked = value
      } catch (error) {
        assert.ok(error instanceof StoreError && ['StoreClosed', 'SessionExpired'].includes(error.code), String(error))
      }
    })
    await Promise.all(writes)
  }
  await store.close()
  return values
}

test('a power cut at any step loses no acknowledged change and leaves a store that opens', async () => {
  const whole = new BreakingDisk()
  await workload(whole, seededRandom(7))
  assert.ok(whole.steps > 100, `${whole.steps} steps, with several snapshots among them`)
  for (let steps = 0; steps <= whole.steps; steps++) {
    const disk = new BreakingDisk(steps)
    const values = await workload(disk, seededRandom(7))
    for (let variant = 0; variant < 4; variant++) {
      const context = `cut after step ${steps}, variant ${variant}`
      const store = await open(disk.recovered(seededRandom(steps * 10 + variant)))
      const session = store.connect()
      for (const [path, { acked, asked }] of values) {
        const found = (await session.exists(path)) === undefined ? undefined : (await session.get(path)).data.toString()
        const allowed = acked === undefined ? [undefined, ...asked] : asked.slice(asked.indexOf(acked))
        assert.ok(allowed.includes(found as string), `${context}: ${path} is ${found}, one of ${allowed} expected`)
      }
      await session.create('/after', Buffer.from(''))
      await store.close()
    }
  }
})

test('a disk error ends the store: nothing is acknowledged any more, and its sessions hear of it', async () => {
  const store = await open(new BreakingDisk(7))
  const session = store.connect()
  await session.create('/a', Buffer.from(''))
  const [create, ended, closed] = await Promise.allSettled([session.create('/b', Buffer.from('')), session.ended, store.closed])
  assert.ok(create.status === 'rejected' && create.reason instanceof StoreError)
  assert.match(String(ended.status === 'rejected' && ended.reason), /EIO/)
  assert.match(String(closed.status === 'rejected' && closed.reason), /EIO/)
  await assert.rejects(session.get('/a'), StoreError)
  await store.close()
})
