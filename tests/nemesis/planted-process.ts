import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '@tidelog/testkit'
import { BatteredBroker } from './battered-broker.ts'
import type { DiskName } from './lying-disks.ts'

/** A broker with a bug planted into its disk, in a process of its own. */
export interface PlantedBroker {
  readonly broker: BatteredBroker
  readonly port: number
  /** Everything of the run goes below it. */
  readonly work: string
  /** The log dir. */
  readonly dir: string
  /** The file that tells the disk what to do. */
  readonly control: string
  /** Kills it and removes what it has left. */
  end(): Promise<void>
}

export async function plantedBroker(disk: DiskName): Promise<PlantedBroker> {
  const work = mkdtempSync(join(tmpdir(), 'tidelog-planted-'))
  const [dir, control] = [join(work, 'data'), join(work, 'control')]
  const port = await freePort()
  const logFd = openSync(join(work, 'broker.log'), 'a')
  const program = fileURLToPath(new URL('planted-broker.js', import.meta.url))
  const broker = new BatteredBroker({ port, command: [process.execPath, program, disk, dir, String(port), control], logFd })
  const end = async () => {
    await broker.kill()
    closeSync(logFd)
    rmSync(work, { recursive: true, force: true })
  }
  return { broker, port, work, dir, control, end }
}
