import { monitorEventLoopDelay } from 'node:perf_hooks'

/** What a piece of work did to the process it ran in. */
export interface ProcessWatch<Done> {
  readonly result: Done
  /** The longest time, in ms, that the event loop was kept from its timers. */
  readonly longestTurnMs: number
  /** By how much resident memory was at its highest above where it began. */
  readonly rssGrowthBytes: number
}

const SAMPLE_MS = 2

/** Runs `work` and looks at the event loop and at the memory meanwhile. On a busy machine a turn may seem longer than it is: let `work` have a few tries. */
export async function watchProcess<Done>(work: () => Promise<Done>): Promise<ProcessWatch<Done>> {
  const delay = monitorEventLoopDelay({ resolution: SAMPLE_MS })
  const before = process.memoryUsage.rss()
  let peak = before
  const sample = (): void => {
    peak = Math.max(peak, process.memoryUsage.rss())
  }
  const timer = setInterval(sample, SAMPLE_MS)
  delay.enable()
  try {
    const result = await work()
    // A turn that never ended has not been counted yet.
    await new Promise((resolve) => setTimeout(resolve, 2 * SAMPLE_MS))
    sample()
    return { result, longestTurnMs: delay.max / 1e6, rssGrowthBytes: peak - before }
  } finally {
    delay.disable()
    clearInterval(timer)
  }
}

/** As `watchProcess`, as often as `tries`: what the work itself does to the loop shows in every try, what other processes do does not. */
export async function leastDisturbed<Done>(tries: number, work: () => Promise<Done>): Promise<ProcessWatch<Done>> {
  let best = await watchProcess(work)
  for (let count = 1; count < tries && best.longestTurnMs > 50; count++) {
    const again = await watchProcess(work)
    if (again.longestTurnMs < best.longestTurnMs) best = { ...again, rssGrowthBytes: Math.max(best.rssGrowthBytes, again.rssGrowthBytes) }
  }
  return best
}
