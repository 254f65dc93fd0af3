import { messageOf, type Timer, ZERO_UUID } from '@tidelog/core'
import {
  type CodecName,
  codecIdOf,
  GetTelemetrySubscriptions,
  type GetTelemetrySubscriptionsResponse,
  PushTelemetry,
} from '@tidelog/protocol'
import type { BrokerConnection } from '../cluster/broker-connection.ts'
import type { Cluster } from '../cluster/cluster.ts'
import { BrokerError, checkErrorCode, hasCode, IllegalStateError, MalformedResponseError, UnsupportedVersionError } from '../errors.ts'
import type { Metric } from '../metrics.ts'
import { before, type Deadline, type WaitOptions } from '../wait.ts'
import { type MetricForSubscription, RegisteredMetrics } from './metric-for-subscription.ts'
import { type CollectedPoint, MetricsCollector, type Prepared, payloadOf } from './metrics-collector.ts'
import { DEFAULT_PUSH_INTERVAL_MS, Subscription } from './subscription.ts'
import { TelemetryRoute } from './telemetry-route.ts'

export type { MetricForSubscription } from './metric-for-subscription.ts'

export interface TelemetryOptions {
  readonly cluster: Cluster
  /** What the client counts, now. */
  readonly metrics: () => readonly Metric[]
  /** Who it is, besides what a broker knows: `group_id`, `transactional_id`… Those that are null or empty are left out. */
  readonly labels?: () => Readonly<Record<string, string | null | undefined>>
}

export interface ClientInstanceIdOptions extends WaitOptions {
  readonly deadline: Deadline
}

/** The first push comes after this much of the interval, so that clients which begin together do not go on together. KIP-714. */
const FIRST_PUSH_MIN_PERCENT = 50
const FIRST_PUSH_SPREAD_PERCENT = 100
/** Closing waits no longer for the answer to the last push. */
const LAST_PUSH_TIMEOUT_MS = 1000
/** The subscription is another by now, or there is no such codec: to be asked for anew at once. */
const askAtOnce: readonly string[] = ['UNKNOWN_SUBSCRIPTION_ID', 'UNSUPPORTED_COMPRESSION_TYPE']
/** Besides what may be asked again anyway. */
const askLater = [...askAtOnce, 'TELEMETRY_TOO_LARGE']

/**
 * Pushes a client's metrics to a broker that has subscribed to them (KIP-714). It sleeps until a connection says that its broker takes telemetry, asks which metrics
 * are wanted and how often, pushes them, and asks again when a push is refused or nothing is wanted. Nothing that fails here is heard of elsewhere; what a broker
 * says that asking again would not change ends it for this client.
 */
export class Telemetry {
  readonly #options: TelemetryOptions
  readonly #cluster: Cluster
  readonly #isEnabled: boolean
  readonly #route: TelemetryRoute
  readonly #registered: RegisteredMetrics
  readonly #collector: MetricsCollector
  readonly #refusedCodecs = new Set<CodecName>()
  /** What brokers know this client as, from the first answer on. */
  #instanceId = ZERO_UUID
  /** What is wanted; undefined until a broker says so, and when it is to be asked again. */
  #subscription: Subscription | undefined
  /** As above, of the last answer. */
  #last: Subscription | undefined
  /** Less than a broker has said it takes, when it has refused that. */
  #maxBytes = Number.POSITIVE_INFINITY
  #asking: Promise<void> | undefined
  /** On their way in a push without an answer. */
  #underWay: readonly CollectedPoint[] = []
  #timer: Timer | undefined
  /** No broker is known that takes telemetry: the next connection may be to one. */
  #isAsleep = true
  #isEnded = false

  constructor(options: TelemetryOptions) {
    const { cluster } = options
    this.#options = options
    this.#cluster = cluster
    this.#isEnabled = cluster.config['enable.metrics.push']
    this.#route = new TelemetryRoute(cluster)
    this.#registered = new RegisteredMetrics(cluster.logger)
    this.#collector = new MetricsCollector(cluster.clock.now())
    if (!this.#isEnabled) return
    cluster.connections.onConnected((connection, purpose) => {
      if (!this.#isAsleep || this.#isEnded || purpose !== 'general' || !connection.serves(GetTelemetrySubscriptions)) return
      // Behind the request that the connection was made for.
      this.#after(0, () => this.#ask())
    })
  }

  /**
   * What brokers call this client, from whoever takes telemetry.
   * @throws IllegalStateError unless `enableMetricsPush`; UnsupportedVersionError where no broker takes telemetry; TimeoutError, BrokerError
   */
  async clientInstanceId({ deadline, signal }: ClientInstanceIdOptions): Promise<string> {
    if (!this.#isEnabled) throw new IllegalStateError('enableMetricsPush is off: brokers do not know this client by an id')
    if (this.#instanceId === ZERO_UUID) {
      await this.#cluster.retry({ deadline, what: 'clientInstanceId', signal }, async () => {
        const some = await this.#cluster.anyConnection({ signal })
        await this.#askOver((await this.#route.toAsk()) ?? some)
      })
    }
    return this.#instanceId
  }

  /** Nothing happens unless `enableMetricsPush`. @throws InvalidOptionError */
  register(metric: MetricForSubscription): void {
    if (this.#isEnabled) this.#registered.register(metric)
  }

  unregister(metric: Pick<MetricForSubscription, 'group' | 'name' | 'tags'>): void {
    this.#registered.unregister(metric)
  }

  /** Ends with a last push, if a broker has subscribed, is connected and answers within the deadline and a second. Never throws; idempotent. */
  async close(deadline?: Deadline): Promise<void> {
    if (this.#isEnded) return
    this.#end()
    const subscription = this.#subscription
    const connection = this.#route.atHand()
    if (subscription === undefined || connection === undefined || deadline?.expired) return
    this.#collector.told(this.#underWay)
    const limit = this.#cluster.deadline(Math.min(deadline?.remainingMs ?? LAST_PUSH_TIMEOUT_MS, LAST_PUSH_TIMEOUT_MS))
    const pushing = this.#prepare(subscription).then((prepared) =>
      prepared === undefined ? undefined : this.#send(connection, subscription, prepared, true),
    )
    await before<unknown>(pushing, this.#cluster.clock, limit, 'the last push').catch((error: unknown) => {
      this.#cluster.logger.debug('the last metrics were not pushed', { reason: messageOf(error) })
    })
  }

  #end(): void {
    this.#isEnded = true
    this.#timer?.cancel()
    this.#timer = undefined
  }

  /** In place of what was to happen next. */
  #after(ms: number, step: () => Promise<void>): void {
    this.#isAsleep = false
    this.#timer?.cancel()
    if (this.#isEnded || this.#cluster.closed) return
    this.#cluster.logger.debug('telemetry waits', { ms })
    this.#timer = this.#cluster.clock.setTimer(ms, () => {
      this.#timer = undefined
      step().catch((error: unknown) => this.#failed(error))
    })
  }

  #failed(error: unknown): void {
    if (this.#isEnded || this.#cluster.closed) return
    const { logger } = this.#cluster
    this.#subscription = undefined
    if (error instanceof UnsupportedVersionError) {
      this.#isAsleep = true
    } else if (error instanceof BrokerError && !error.retriable && !askLater.includes(error.code)) {
      logger.warn('metrics are not pushed any more', { reason: error.message })
      this.#end()
    } else {
      logger.debug('telemetry failed', { reason: messageOf(error) })
      this.#after(this.#last?.pushIntervalMs ?? DEFAULT_PUSH_INTERVAL_MS, () => this.#ask())
    }
  }

  // --- what is wanted ----------------------------------------------------------------------------------------------------------------

  async #ask(): Promise<void> {
    const connection = await this.#route.toAsk()
    if (connection === undefined) this.#isAsleep = true
    else await this.#askOver(connection)
  }

  #askOver(connection: BrokerConnection): Promise<void> {
    this.#asking ??= this.#request(connection).finally(() => {
      this.#asking = undefined
    })
    return this.#asking
  }

  async #request(connection: BrokerConnection): Promise<void> {
    const answer = await connection.send(GetTelemetrySubscriptions, { clientInstanceId: this.#instanceId })
    checkErrorCode(answer.errorCode, 'telemetry subscription')
    this.#take(answer)
  }

  #take(answer: GetTelemetrySubscriptionsResponse): void {
    const { cluster } = this.#options
    if (this.#instanceId === ZERO_UUID) this.#instanceId = answer.clientInstanceId
    if (this.#instanceId === ZERO_UUID) throw new MalformedResponseError('a telemetry subscription without a client instance id')
    const subscription = new Subscription(answer)
    const { id, pushIntervalMs, isDelta } = subscription
    if (id !== this.#last?.id) this.#maxBytes = Number.POSITIVE_INFINITY
    if (isDelta !== this.#last?.isDelta) this.#collector.reset()
    this.#last = subscription
    if (this.#isEnded) return
    this.#subscription = undefined
    if (subscription.isEmpty) {
      this.#after(Math.max(pushIntervalMs, answer.throttleTimeMs), () => this.#ask())
      return
    }
    cluster.logger.debug('a broker wants metrics', { clientInstanceId: this.#instanceId, subscriptionId: id, pushIntervalMs })
    this.#subscription = subscription
    const percent = FIRST_PUSH_MIN_PERCENT + cluster.random.int(FIRST_PUSH_SPREAD_PERCENT + 1)
    this.#after(Math.max((pushIntervalMs * percent) / 100, answer.throttleTimeMs), () => this.#push(subscription))
  }

  // --- pushing -----------------------------------------------------------------------------------------------------------------------

  async #push(subscription: Subscription): Promise<void> {
    const prepared = await this.#prepare(subscription)
    if (prepared === undefined) {
      // A broker that hears nothing cannot say that it wants something else by now.
      this.#after(subscription.pushIntervalMs, () => this.#ask())
      return
    }
    const connection = await this.#route.toPush()
    if (this.#isEnded) return
    if (connection === undefined) return this.#ask()
    try {
      const { throttleTimeMs } = await this.#send(connection, subscription, prepared, false)
      this.#after(Math.max(subscription.pushIntervalMs, throttleTimeMs), () => this.#push(subscription))
    } catch (error) {
      if (!hasCode(error, ...askAtOnce)) throw error
      this.#cluster.logger.debug('a push was refused', { reason: messageOf(error) })
      this.#subscription = undefined
      this.#after(0, () => this.#ask())
    }
  }

  /** @throws BrokerError, DisconnectedError and others */
  async #send(
    connection: BrokerConnection,
    subscription: Subscription,
    { codec, bytes, points }: Prepared,
    terminating: boolean,
  ): Promise<{ readonly throttleTimeMs: number }> {
    this.#underWay = points
    try {
      const answer = await connection.send(PushTelemetry, {
        clientInstanceId: this.#instanceId,
        subscriptionId: subscription.id,
        terminating,
        compressionType: codecIdOf(codec),
        metrics: bytes,
      })
      checkErrorCode(answer.errorCode, 'telemetry')
      this.#collector.told(points)
      return answer
    } catch (error) {
      if (hasCode(error, 'UNSUPPORTED_COMPRESSION_TYPE')) this.#refusedCodecs.add(codec)
      if (hasCode(error, 'TELEMETRY_TOO_LARGE')) this.#maxBytes = Math.max(1, Math.floor(bytes.length / 2))
      // What a broker may have heard is not told twice.
      if (!(error instanceof BrokerError)) this.#collector.told(points)
      throw error
    } finally {
      this.#underWay = []
    }
  }

  /** undefined: there is nothing to push, or not enough room for any of it. */
  async #prepare(subscription: Subscription): Promise<Prepared | undefined> {
    const { cluster, metrics } = this.#options
    const own = metrics()
    const points = this.#collector.collect([...own, ...this.#registered.values(own)], subscription, cluster.clock.now())
    const labels = this.#labels()
    const maxBytes = Math.min(subscription.maxBytes, this.#maxBytes)
    const codec = subscription.codecs.find((name) => !this.#refusedCodecs.has(name)) ?? 'none'
    try {
      return await payloadOf(points, { labels, maxBytes, codec })
    } catch (error) {
      if (codec === 'none') throw error
      cluster.logger.debug('metrics cannot be compressed', { codec, reason: messageOf(error) })
      this.#refusedCodecs.add(codec)
      return payloadOf(points, { labels, maxBytes, codec: 'none' })
    }
  }

  #labels(): Record<string, string> {
    const labels: Record<string, string> = {}
    for (const [name, value] of Object.entries(this.#options.labels?.() ?? {})) {
      if (value !== null && value !== undefined && value !== '') labels[name] = value
    }
    return labels
  }
}
