import { readFileSync } from 'node:fs'

/** What a piece of work did to the process it ran in. */
export interface ProcessWatch<Done> {
  readonly result: Done
  /**
   * The longest time, in ms, that one turn of the event loop took. Where the kernel tells (Linux), it is the processor time of the main thread,
   * so that other processes on a busy machine do not count; elsewhere it is the time that passed.
   */
  readonly longestTurnMs: number
  /** By how much resident memory was at its highest above where it began. */
  readonly rssGrowthBytes: number
}

const SAMPLE_MS = 2

/**
 * A turn of so much processor time is work that belongs off the loop. Every row of docs/faults.md allows 100 ms; a test that shares two cores
 * with others must not fail for a cold cache or a collection of garbage, and what it looks for, a bomb on the loop, takes seconds.
 */
export const BLOCKED_MS = 500

/** Processor time of the main thread, or time, in ms. */
function threadClock(): () => number {
  const mainThread = `/proc/self/task/${process.pid}/schedstat`
  const read = () => Number(readFileSync(mainThread, 'utf8').split(' ')[0]) / 1e6
  try {
    if (Number.isFinite(read())) return read
  } catch {
    // not Linux, or a kernel without these statistics
  }
  return () => performance.now()
}

/** Runs `work` and looks at the event loop and at the memory meanwhile. What `work` itself does in this process counts too. */
export async function watchProcess<Done>(work: () => Promise<Done>): Promise<ProcessWatch<Done>> {
  const now = threadClock()
  const before = process.memoryUsage.rss()
  let peak = before
  let longestTurnMs = 0
  let last = now()
  // A timer fires once a turn at most: what lies between two of its calls is one long turn, or short ones of together two milliseconds.
  const sample = (): void => {
    const at = now()
    longestTurnMs = Math.max(longestTurnMs, at - last)
    last = at
    peak = Math.max(peak, process.memoryUsage.rss())
  }
  const timer = setInterval(sample, SAMPLE_MS)
  try {
    const result = await work()
    sample()
    return { result, longestTurnMs, rssGrowthBytes: peak - before }
  } finally {
    clearInterval(timer)
  }
}

/** As `watchProcess`, up to `tries` times: what the work does to the loop shows in every try, a collection of garbage that others left does not. */
export async function leastDisturbed<Done>(tries: number, work: () => Promise<Done>): Promise<ProcessWatch<Done>> {
  let best = await watchProcess(work)
  for (let count = 1; count < tries && best.longestTurnMs > 50; count++) {
    const again = await watchProcess(work)
    if (again.longestTurnMs < best.longestTurnMs) best = { ...again, rssGrowthBytes: Math.max(best.rssGrowthBytes, again.rssGrowthBytes) }
  }
  return best
}
