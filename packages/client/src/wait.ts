import type { Clock, Random } from '@tidelog/core'
import { TimeoutError } from './errors.ts'

/** What every call that waits takes. */
export interface WaitOptions {
  /** Ends the wait; the call then throws the signal's reason. What was sent already may still take effect. */
  readonly signal?: AbortSignal | undefined
}

/** A point in time that a call and all its retries share. */
export class Deadline {
  readonly timeoutMs: number
  readonly #clock: Clock
  readonly #atMs: number

  constructor(clock: Clock, timeoutMs: number) {
    this.timeoutMs = timeoutMs
    this.#clock = clock
    this.#atMs = clock.monotonic() + timeoutMs
  }

  get remainingMs(): number {
    return Math.max(0, this.#atMs - this.#clock.monotonic())
  }

  get expired(): boolean {
    return this.remainingMs <= 0
  }
}

const nothing = (): void => {}

/**
 * `promise`, or the reason of whichever signal aborts first. A rejection that comes after that is nobody's, and is dropped.
 */
export function until<T>(promise: Promise<T>, ...signals: readonly (AbortSignal | undefined)[]): Promise<T> {
  const watched = signals.filter((signal) => signal !== undefined)
  if (watched.length === 0) return promise
  return new Promise<T>((resolve, reject) => {
    const settle = () => {
      for (const signal of watched) signal.removeEventListener('abort', onAbort)
    }
    const onAbort = () => {
      settle()
      promise.catch(nothing)
      reject(watched.find(({ aborted }) => aborted)!.reason)
    }
    for (const signal of watched) signal.addEventListener('abort', onAbort)
    promise.then(
      (value) => {
        settle()
        resolve(value)
      },
      (error) => {
        settle()
        reject(error)
      },
    )
    if (watched.some(({ aborted }) => aborted)) onAbort()
  })
}

/** `promise`, or a TimeoutError when the deadline passes first. */
export function before<T>(promise: Promise<T>, clock: Clock, deadline: Deadline, what: string): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const timer = clock.setTimer(deadline.remainingMs, () => reject(new TimeoutError(`${what} took longer than ${deadline.timeoutMs} ms`)))
    promise.then(
      (value) => {
        timer.cancel()
        resolve(value)
      },
      (error) => {
        timer.cancel()
        reject(error)
      },
    )
  })
}

/** Resolves after `ms`, or rejects with the reason of a signal that aborts before. */
export function sleep(clock: Clock, ms: number, ...signals: readonly (AbortSignal | undefined)[]): Promise<void> {
  let cancel = nothing
  const slept = new Promise<void>((resolve) => {
    const timer = clock.setTimer(ms, resolve)
    cancel = () => timer.cancel()
  })
  return until(slept, ...signals).catch((error) => {
    cancel()
    throw error
  })
}

const JITTER_PERCENT = 20

/** Doubles from `baseMs` with each attempt (counted from 0) up to `maxMs`, give or take 20 %, so that clients do not march in step. KIP-580. */
export function backoffMs(random: Random, attempt: number, baseMs: number, maxMs: number): number {
  const exponential = Math.min(Math.max(baseMs, maxMs), baseMs * 2 ** Math.min(attempt, 30))
  const jitter = (random.int(2 * JITTER_PERCENT + 1) - JITTER_PERCENT) / 100
  return Math.max(0, exponential * (1 + jitter))
}

/** A promise and what settles it. */
export interface Deferred<T> {
  readonly promise: Promise<T>
  resolve(value: T): void
  reject(error: unknown): void
}

export function deferred<T = void>(): Deferred<T> {
  let resolve!: (value: T) => void
  let reject!: (error: unknown) => void
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { promise, resolve, reject }
}
