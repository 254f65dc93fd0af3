import { existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type BatteredBroker, delay, type Ending, tearTail } from './battered-broker.ts'
import type { Ground } from './ground.ts'

export interface FaultKind {
  /** What it takes. */
  readonly needs?: 'disk' | 'fsyncFlag'
  /** Acts, proves that it did, and leaves a broker that serves. @throws Error when the broker did not do what it must. */
  act(ground: Ground): Promise<void>
}

export const faultKinds = {
  'kill -9': {
    async act({ broker, random }) {
      await broker.kill()
      await delay(random.int(1500))
      await broker.start()
    },
  },
  'kill -9 amid a write': {
    async act({ broker, random, dataDir }) {
      await broker.kill()
      const torn = partitionDirs(dataDir).filter((dir) => random.int(2) === 0 && tearTail(dir, random))
      if (torn.length === 0) partitionDirs(dataDir).some((dir) => tearTail(dir, random))
      await broker.start()
    },
  },
  'kill -9 amid recovery': {
    async act({ broker, random }) {
      await broker.kill()
      for (let round = 0; round < 2; round++) {
        const starting = broker.tryStart()
        await delay(50 + random.int(600))
        broker.signal('SIGKILL')
        await starting
        await broker.kill()
      }
      await broker.start()
    },
  },
  'SIGSTOP, SIGCONT': {
    async act({ broker, random }) {
      broker.signal('SIGSTOP')
      // Now and then longer than the members' session timeout of 3 s.
      await delay(300 + random.int(random.int(4) === 0 ? 9000 : 3000))
      broker.signal('SIGCONT')
    },
  },
  'SIGSTOP, kill -9': {
    async act({ broker, random }) {
      broker.signal('SIGSTOP')
      await delay(300 + random.int(2000))
      await broker.kill()
      await broker.start()
    },
  },
  'clean restart': {
    async act({ broker }) {
      broker.signal('SIGTERM')
      const { code, signal } = await broker.ended()
      if (code !== 0) throw new Error(`SIGTERM ended the broker with ${code ?? signal}`)
      await broker.start()
    },
  },
  'disk full': {
    needs: 'disk',
    async act({ broker, disk, random }) {
      disk!.fill()
      try {
        mustHaveFailed('a full disk', await broker.ended())
        if (random.int(2) === 0) await startInVain(broker)
      } finally {
        disk!.free()
      }
      await broker.start()
    },
  },
  'fsync error': {
    needs: 'fsyncFlag',
    async act({ broker, fsyncFlag, random }) {
      const hitsBefore = hitsOf(fsyncFlag!)
      writeFileSync(fsyncFlag!, '')
      try {
        mustHaveFailed('an fsync error', await broker.ended())
        if (random.int(2) === 0) await startInVain(broker)
      } finally {
        rmSync(fsyncFlag!, { force: true })
      }
      if (hitsOf(fsyncFlag!) === hitsBefore) throw new Error('no fsync was made to fail')
      await broker.start()
    },
  },
} satisfies Readonly<Record<string, FaultKind>>

/** Its only log dir has failed: it stops itself, with a code of failure, by no signal. */
function mustHaveFailed(cause: string, { code, signal }: Ending): void {
  if (code === null || code === 0) throw new Error(`after ${cause} the broker ended with ${code ?? signal}`)
}

/** On a disk that still fails a broker may refuse to start or stop itself soon; if it serves, what it acks counts. */
async function startInVain(broker: BatteredBroker): Promise<void> {
  if ((await broker.tryStart()) !== undefined) return
  await delay(500)
  await broker.kill()
}

const hitsOf = (flag: string): number => (existsSync(`${flag}.hits`) ? statSync(`${flag}.hits`).size : 0)

export function partitionDirs(dataDir: string): string[] {
  return readdirSync(dataDir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && /-\d+$/.test(entry.name))
    .map(({ name }) => join(dataDir, name))
    .sort()
}
