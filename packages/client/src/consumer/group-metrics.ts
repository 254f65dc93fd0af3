import type { Clock } from '@tidelog/core'
import { avgAndMax, Meter, rateAndTotal, Spread, secondsAgo, Timing } from '../metrics.ts'

const SECONDS_PER_HOUR = 3600

const perHour = (meter: Meter, nowMs: number): number => meter.perSecond(nowMs) * SECONDS_PER_HOUR

/** One is under way at a time. */
export class HeartbeatMetrics {
  readonly #clock: Clock
  readonly #answered = new Timing()
  #sentMs: number | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  sent(): void {
    this.#sentMs = this.#clock.monotonic()
  }

  answered(): void {
    const nowMs = this.#clock.monotonic()
    this.#answered.record(nowMs - (this.#sentMs ?? nowMs), nowMs)
  }

  values(nowMs: number): Record<string, number> {
    return {
      ...rateAndTotal('heartbeat', this.#answered.times, nowMs),
      'heartbeat-response-time-max': this.#answered.ms.max(nowMs),
      'last-heartbeat-seconds-ago': secondsAgo(this.#sentMs, nowMs),
    }
  }
}

/** What a rebalance listener is called for. */
type Callback = 'assigned' | 'revoked' | 'lost'

/** What a member of a group counts. */
export class GroupMetrics {
  readonly heartbeat: HeartbeatMetrics
  readonly #clock: Clock
  readonly #commits = new Timing()
  readonly #joins = new Timing()
  readonly #syncs = new Timing()
  readonly #rebalances = new Timing()
  readonly #failedRebalances = new Meter()
  readonly #callbacks: Readonly<Record<Callback, Spread>> = { assigned: new Spread(), revoked: new Spread(), lost: new Spread() }
  #rebalanceTotalMs = 0
  #rebalancingSinceMs: number | undefined
  #rebalancedMs: number | undefined

  constructor(clock: Clock) {
    this.#clock = clock
    this.heartbeat = new HeartbeatMetrics(clock)
  }

  commit<T>(request: () => Promise<T>): Promise<T> {
    return this.#measured(this.#commits, request)
  }

  join<T>(request: () => Promise<T>): Promise<T> {
    return this.#measured(this.#joins, request)
  }

  sync<T>(request: () => Promise<T>): Promise<T> {
    return this.#measured(this.#syncs, request)
  }

  /** A listener's time, also when it throws. */
  async callback(which: Callback, listener: () => void | Promise<void>): Promise<void> {
    const beganMs = this.#clock.monotonic()
    try {
      await listener()
    } finally {
      const nowMs = this.#clock.monotonic()
      this.#callbacks[which].record(nowMs - beganMs, nowMs)
    }
  }

  rebalanceBegan(): void {
    this.#rebalancingSinceMs ??= this.#clock.monotonic()
  }

  rebalanced(): void {
    const nowMs = this.#clock.monotonic()
    const tookMs = nowMs - (this.#rebalancingSinceMs ?? nowMs)
    this.#rebalances.record(tookMs, nowMs)
    this.#rebalanceTotalMs += tookMs
    this.#rebalancingSinceMs = undefined
    this.#rebalancedMs = nowMs
  }

  rebalanceFailed(): void {
    this.#failedRebalances.record(1, this.#clock.monotonic())
  }

  /** @param isClassic Members of the other protocol neither join nor synchronize. */
  values(nowMs: number, assignedPartitions: number, isClassic: boolean): Record<string, number> {
    const { assigned, revoked, lost } = this.#callbacks
    return {
      'assigned-partitions': assignedPartitions,
      ...this.heartbeat.values(nowMs),
      ...avgAndMax('commit-latency', this.#commits.ms, nowMs),
      ...rateAndTotal('commit', this.#commits.times, nowMs),
      ...(isClassic
        ? {
            ...avgAndMax('join-time', this.#joins.ms, nowMs),
            ...rateAndTotal('join', this.#joins.times, nowMs),
            ...avgAndMax('sync-time', this.#syncs.ms, nowMs),
            ...rateAndTotal('sync', this.#syncs.times, nowMs),
          }
        : {}),
      ...avgAndMax('rebalance-latency', this.#rebalances.ms, nowMs),
      'rebalance-latency-total': this.#rebalanceTotalMs,
      'rebalance-total': this.#rebalances.times.total,
      'rebalance-rate-per-hour': perHour(this.#rebalances.times, nowMs),
      'failed-rebalance-total': this.#failedRebalances.total,
      'failed-rebalance-rate-per-hour': perHour(this.#failedRebalances, nowMs),
      'last-rebalance-seconds-ago': secondsAgo(this.#rebalancedMs, nowMs),
      ...avgAndMax('partition-assigned-latency', assigned, nowMs),
      ...avgAndMax('partition-revoked-latency', revoked, nowMs),
      ...avgAndMax('partition-lost-latency', lost, nowMs),
    }
  }

  async #measured<T>(timing: Timing, request: () => Promise<T>): Promise<T> {
    const sentMs = this.#clock.monotonic()
    const answer = await request()
    const nowMs = this.#clock.monotonic()
    timing.record(nowMs - sentMs, nowMs)
    return answer
  }
}

/** What a member of a share group counts. */
export class ShareGroupMetrics {
  readonly heartbeat: HeartbeatMetrics
  readonly #clock: Clock
  readonly #rebalances = new Meter()

  constructor(clock: Clock) {
    this.#clock = clock
    this.heartbeat = new HeartbeatMetrics(clock)
  }

  rebalanced(): void {
    this.#rebalances.record(1, this.#clock.monotonic())
  }

  values(nowMs: number): Record<string, number> {
    return {
      ...this.heartbeat.values(nowMs),
      'rebalance-total': this.#rebalances.total,
      'rebalance-rate-per-hour': perHour(this.#rebalances, nowMs),
    }
  }
}
