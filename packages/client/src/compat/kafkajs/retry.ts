import type { Clock, Random } from '@tidelog/core'
import type { RetryOptions } from './types-client.ts'

/** kafkajs's defaults. */
export const retryDefaults = { maxRetryTime: 30_000, initialRetryTime: 300, factor: 0.2, multiplier: 2, retries: 5 } as const

export type ResolvedRetry = Required<Omit<RetryOptions, 'restartOnFailure'>>

/** The first that says so counts; kafkajs leaves holes where an option is undefined, and so do we not. */
export function resolveRetry(...options: readonly (RetryOptions | undefined)[]): ResolvedRetry {
  const pick = (name: keyof ResolvedRetry): number =>
    options.map((one) => one?.[name]).find((value) => value !== undefined) ?? retryDefaults[name]
  return {
    maxRetryTime: pick('maxRetryTime'),
    initialRetryTime: pick('initialRetryTime'),
    factor: pick('factor'),
    multiplier: pick('multiplier'),
    retries: pick('retries'),
  }
}

/** Most that the waits between the retries add up to, ms. */
export function totalBackoffMs({ initialRetryTime, multiplier, maxRetryTime, retries }: ResolvedRetry): number {
  let total = 0
  let wait = initialRetryTime
  for (let retry = 0; retry < Math.min(retries, MOST_RETRIES_COUNTED); retry++) {
    total += wait
    wait = Math.min(wait * multiplier, maxRetryTime)
  }
  return total
}
const MOST_RETRIES_COUNTED = 10_000

const programmingErrors: ReadonlySet<string> = new Set(['RangeError', 'ReferenceError', 'SyntaxError', 'TypeError'])

/** As kafkajs sees it: everything may be tried again that does not say no, and is no mistake of the program. */
export const isWorthARetry = (error: unknown): boolean =>
  !(error instanceof Error) || ((error as { readonly retriable?: unknown }).retriable !== false && !programmingErrors.has(error.name))

/** The waits of one sequence of retries: they grow, with jitter. */
export class RetryTimes {
  readonly #options: ResolvedRetry
  readonly #random: Random
  #next: number
  count = 0

  constructor(options: ResolvedRetry, random: Random) {
    this.#options = options
    this.#random = random
    this.#next = this.#jittered(options.initialRetryTime)
  }

  /** Ms to wait before the next retry; undefined: there is none left. */
  next(): number | undefined {
    const { retries, multiplier, maxRetryTime } = this.#options
    if (this.count >= retries) return undefined
    const now = this.#next
    this.count++
    this.#next = Math.min(this.#jittered(now) * multiplier, maxRetryTime)
    return now
  }

  get retryTime(): number {
    return this.#next
  }

  #jittered(ms: number): number {
    const spread = this.#options.factor * ms
    return Math.ceil(ms - spread + (this.#random.int(JITTER_STEPS + 1) / JITTER_STEPS) * 2 * spread)
  }
}
const JITTER_STEPS = 1000

/** Resolves after `ms`, or as soon as the signal aborts. */
export function pause(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      timer.cancel()
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = clock.setTimer(ms, done)
    if (signal?.aborted) done()
    else signal?.addEventListener('abort', done, { once: true })
  })
}
