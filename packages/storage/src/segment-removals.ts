import { LazyMap, type Timer } from '@tidelog/core'
import type { LogState } from './log-state.ts'
import type { Segment } from './segment.ts'

/** Segments that are out of a log and whose files, called *.deleted, wait for their end. */
export class SegmentRemovals {
  readonly #state: LogState
  readonly #timers = new LazyMap<Segment, Timer>()

  constructor(state: LogState) {
    this.#state = state
  }

  /** Renames the segment's files now and unlinks them after file.delete.delay.ms, when no reader has them any more. */
  async add(segment: Segment): Promise<void> {
    const { clock, config, logger } = this.#state
    await segment.markDeleted()
    const timer = clock.setTimer(config['file.delete.delay.ms'], () => {
      this.#timers.delete(segment)
      segment
        .removeDeleted()
        .catch((error: unknown) => logger.warn('Could not remove a deleted segment', { path: segment.file.path, error }))
    })
    this.#timers.set(segment, timer)
  }

  /** Leaves the files to the next start, or to whoever removes the folder. */
  cancel(): void {
    for (const timer of this.#timers.values()) timer.cancel()
    this.#timers.clear()
  }

  /** Unlinks what is left, at once. */
  async finish(): Promise<void> {
    const left = [...this.#timers.keys()]
    this.cancel()
    for (const segment of left) await segment.removeDeleted()
  }
}
