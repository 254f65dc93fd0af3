import { type OffloadThread, startNodeThread } from './offload-thread.ts'

/** Work that must not run on the event loop. */
export interface OffloadTask<T> {
  /** What it is, for logs and simulation. */
  readonly name: string
  /** Starts the work; its heavy part runs on libuv's threads or a worker thread and touches no state that the loop may change meanwhile. */
  readonly run: () => Promise<T>
}

/** The one door through which disk- and CPU-heavy work leaves the event loop; a simulation runs tasks in seeded order instead. */
export interface Offload {
  /** Resolves or rejects as the task does. Tasks start in order of arrival and may finish in any. */
  run<T>(task: OffloadTask<T>): Promise<T>
}

/** The same door, for work as well that is long and keeps memory of its own between its steps. */
export interface ThreadOffload extends Offload {
  /**
   * Starts a thread; whoever starts it ends it.
   * @param entry A compiled `*-worker.js` that calls `serveThread`.
   */
  startThread(entry: URL): OffloadThread
}

export interface LibuvOffloadOptions {
  /** Tasks that run at a time. libuv has 4 threads; the default leaves two of them to disk and DNS. */
  readonly concurrency?: number
}

/** Runs tasks as they come, no more than `concurrency` at a time; the others wait in line. */
export function libuvOffload({ concurrency = 2 }: LibuvOffloadOptions = {}): ThreadOffload {
  const waiting: (() => void)[] = []
  let firstWaiting = 0
  let running = 0

  function release(): void {
    const next = waiting[firstWaiting]
    if (next === undefined) {
      waiting.length = 0
      firstWaiting = 0
      running--
      return
    }
    firstWaiting++
    if (firstWaiting >= 1024) {
      waiting.splice(0, firstWaiting)
      firstWaiting = 0
    }
    next() // takes over the place of the one that is done
  }

  return {
    async run(task) {
      if (running < concurrency) running++
      else await new Promise<void>((resolve) => waiting.push(resolve))
      try {
        return await task.run()
      } finally {
        release()
      }
    },
    startThread: startNodeThread,
  }
}
