import { type CodecName, codecNames, type GetTelemetrySubscriptionsResponse } from '@tidelog/protocol'

/** Java's, where a broker names none that makes sense. */
export const DEFAULT_PUSH_INTERVAL_MS = 5 * 60_000
/** Kafka lets nobody configure less. */
const MIN_PUSH_INTERVAL_MS = 100
/** Kafka's default of `telemetry.max.bytes`, and the most that is put together, whatever a broker allows. */
const MAX_BYTES = 1024 * 1024
/** More prefixes than there are metrics; what a broker asks for beyond is not kept. */
const MAX_PREFIXES = 10_000
/** No metric's name is longer. */
const MAX_PREFIX_LENGTH = 256
const ALL = '*'

/** What a broker wants to be told. KIP-714. */
export class Subscription {
  readonly id: number
  readonly pushIntervalMs: number
  /** Of a payload, compressed. */
  readonly maxBytes: number
  /** Sums count since the push before, not since their start. */
  readonly isDelta: boolean
  /** Of what the broker takes, and we have, in its order: what it likes best first. */
  readonly codecs: readonly CodecName[]
  readonly #prefixes: ReadonlySet<string>
  readonly #isAll: boolean

  constructor(answer: GetTelemetrySubscriptionsResponse) {
    const { subscriptionId, pushIntervalMs, telemetryMaxBytes, deltaTemporality, acceptedCompressionTypes, requestedMetrics } = answer
    this.id = subscriptionId
    this.pushIntervalMs = pushIntervalMs <= 0 ? DEFAULT_PUSH_INTERVAL_MS : Math.max(MIN_PUSH_INTERVAL_MS, pushIntervalMs)
    this.maxBytes = telemetryMaxBytes <= 0 ? MAX_BYTES : Math.min(telemetryMaxBytes, MAX_BYTES)
    this.isDelta = deltaTemporality
    this.codecs = [...new Set(acceptedCompressionTypes)].flatMap((id) => codecNames[id] ?? [])
    this.#isAll = requestedMetrics.length === 1 && requestedMetrics[0] === ALL
    this.#prefixes = new Set(requestedMetrics.slice(0, MAX_PREFIXES).filter(({ length }) => length <= MAX_PREFIX_LENGTH))
  }

  /** Nothing is wanted, for now. */
  get isEmpty(): boolean {
    return !this.#isAll && this.#prefixes.size === 0
  }

  /** By the beginning of the name, and the empty one is the beginning of every name; as long as the name, not as many as there are prefixes, is what it takes. */
  wants(name: string): boolean {
    if (this.#isAll) return true
    for (let length = 0; length <= name.length; length++) if (this.#prefixes.has(name.slice(0, length))) return true
    return false
  }
}
