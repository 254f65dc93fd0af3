import { SimDisk } from './sim-disk.ts'

/** How a process ended. kill: what it had written is there. power cut: only what it had forced to disk is sure to be there. */
export type CrashKind = 'kill' | 'power cut'

export interface Crash {
  readonly kind: CrashKind
  /** The change that it died in, counted from 1; one more than there were when the work had come to its end. */
  readonly change: number
  readonly seed: number
}

export interface CrashScenario {
  /** What is interrupted. What it throws once the disk is dead is what a crash does; before, it fails the test. */
  work(disk: SimDisk): Promise<void>
  /** Looks at what is left, with the same eyes after every crash. */
  check(disk: SimDisk, crash: Crash): Promise<void>
}

export interface CrashOptions {
  /** Each decides anew what a power cut takes; a kill takes nothing, so it is tried once. */
  readonly seeds?: readonly number[]
  readonly kinds?: readonly CrashKind[]
  /** The changes to die in, ascending; each one, until the work comes to its end, when absent. */
  readonly changes?: Iterable<number>
}

/**
 * Lets `work` die in its first change to the disk, then in its second, and so on until it comes to its end, by kill and by power cut, and has each disk
 * that is left checked. A check that fails is told by change, kind and seed, which as options repeat just that crash.
 * @param scenario Called for each crash with a disk that does not die, to put on it what is there before the work.
 * @returns How many crashes there were.
 */
export async function crashAtEveryStep(
  scenario: (disk: SimDisk) => Promise<CrashScenario>,
  { seeds = [1], kinds = ['kill', 'power cut'], changes = counting() }: CrashOptions = {},
): Promise<number> {
  let crashes = 0
  for (const change of changes) {
    let isDone = false
    for (const kind of kinds) {
      for (const seed of kind === 'kill' ? seeds.slice(0, 1) : seeds) {
        const { isEnd } = await crashOnce(scenario, { kind, change, seed })
        isDone ||= isEnd
        crashes++
      }
    }
    if (isDone) break
  }
  return crashes
}

async function crashOnce(scenario: (disk: SimDisk) => Promise<CrashScenario>, crash: Crash): Promise<{ isEnd: boolean }> {
  const { kind, change, seed } = crash
  const before = new SimDisk({ seed: seed * 100_000 + change })
  const { work, check } = await scenario(before)
  const disk = before.kill({ diesAt: change })
  try {
    await work(disk)
  } catch (error) {
    if (!disk.isDead) throw error
  }
  const isEnd = !disk.isDead
  try {
    await check(kind === 'kill' ? disk.kill() : disk.powerCut(), crash)
  } catch (error) {
    const message = error instanceof Error ? error.message : error
    throw new Error(`after a ${kind} in change ${change} (seed ${seed}): ${message}`, { cause: error })
  }
  return { isEnd }
}

function* counting(): Generator<number> {
  for (let next = 1; ; next++) yield next
}
