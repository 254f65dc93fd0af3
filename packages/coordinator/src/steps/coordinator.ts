import type { Instant, Step } from './step.ts'

/**
 * What whoever runs the coordinator of one partition calls besides its requests. `R` are the records of its topic, `E` what it wants done
 * outside.
 */
export interface Coordinator<R, E = never> {
  /** The log has been replayed: requests may come. */
  loaded(now: Instant): Step<R, E>
  /** Another broker takes over: everyone who waits is answered. Writes under way are still to be settled, as failed. */
  unload(now: Instant): Step<R, E>
  /** Monotonic ms; Infinity without any. */
  readonly nextDeadlineMs: number
  /** What falls due up to `now`. */
  advance(now: Instant): Step<R, E>
}
