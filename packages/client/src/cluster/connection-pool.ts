import { setMaxListeners } from 'node:events'
import { type Clock, type Logger, messageOf, type Random, type Timer } from '@tidelog/core'
import type { ExchangeObserver, Resolver } from '@tidelog/net'
import type { CommonConfig } from '../config/client-config.ts'
import { ClosedError, DisconnectedError, isFatal } from '../errors.ts'
import { Meter } from '../metrics.ts'
import type { Security } from '../security/security.ts'
import { backoffMs, sleep, until, type WaitOptions } from '../wait.ts'
import { type BrokerAddress, BrokerConnection } from './broker-connection.ts'
import { RequestCounts } from './request-counts.ts'

/**
 * What a connection is for. A broker serves the requests of one connection one after the other, so a fetch that waits for data, or a join
 * that waits for other members, must not stand before a heartbeat, a commit or a metadata request; nor metrics, with which a broker's receiver
 * may take its time, before records.
 */
export type Purpose = 'general' | 'fetch' | 'coordinator' | 'join' | 'telemetry'

/** One place for a connection to a broker for a purpose; it outlives the connection and remembers how often connecting failed. */
interface Slot {
  readonly address: BrokerAddress
  readonly purpose: Purpose
  connection: BrokerConnection | undefined
  opening: Promise<BrokerConnection> | undefined
  failures: number
  /** Monotonic time before which connecting again is too soon. */
  notBeforeMs: number
  /** Why the broker does not let us in, which asking at once would not change: until notBeforeMs that is the answer. */
  refusal: unknown
  lastUsedMs: number
}

export interface PoolOptions {
  readonly config: CommonConfig
  readonly security: Security
  readonly resolver: Resolver
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly observer?: ExchangeObserver | undefined
  /** Names the client in errors. */
  readonly client: string
}

const IDLE_CHECKS_PER_IDLE_TIME = 4
/** A wrong password asked again and again locks accounts, and fills the broker's log. */
const MAX_REFUSAL_MS = 30_000

/** Connections by address and purpose: made on first use, again after a backoff when they fail, closed when idle. */
export class ConnectionPool {
  readonly #options: PoolOptions
  readonly #slots = new Map<string, Slot>()
  readonly #closing = new AbortController()
  /** Why the last attempt to connect failed; undefined when it did not. */
  lastFailure: unknown
  #idleTimer: Timer | undefined
  readonly #connectionCreations = new Meter()
  readonly #all = new RequestCounts()
  readonly #byAddress = new Map<string, RequestCounts>()
  readonly #connectedListeners: ((connection: BrokerConnection, purpose: Purpose) => void)[] = []

  constructor(options: PoolOptions) {
    this.#options = options
    // Every call under way listens for it, and there may be any number of them.
    setMaxListeners(0, this.#closing.signal)
  }

  get closed(): boolean {
    return this.#closing.signal.aborted
  }

  /** Aborts, with a ClosedError, when the pool closes. */
  get closing(): AbortSignal {
    return this.#closing.signal
  }

  /** The open connection to the address, when there is one. */
  openTo(address: BrokerAddress, purpose: Purpose): BrokerConnection | undefined {
    const slot = this.#slots.get(keyOf(address, purpose))
    if (slot?.connection === undefined || slot.connection.closed) return undefined
    slot.lastUsedMs = this.#options.clock.monotonic()
    return slot.connection
  }

  /** Failed connects in a row. */
  failuresOf(address: BrokerAddress, purpose: Purpose): number {
    return this.#slots.get(keyOf(address, purpose))?.failures ?? 0
  }

  /** Monotonic time from which connecting to the address is not too soon. */
  notBeforeMs(address: BrokerAddress, purpose: Purpose): number {
    return this.#slots.get(keyOf(address, purpose))?.notBeforeMs ?? 0
  }

  /**
   * Connects unless there is a connection; callers at the same time share one attempt. A broker that does not let this client in is asked
   * seldom; meanwhile its last refusal is thrown at once.
   * @throws DisconnectedError, TimeoutError, MalformedResponseError, UnresolvedHostError, TlsError, AuthenticationError; ClosedError after close()
   */
  async to(address: BrokerAddress, purpose: Purpose, { signal }: WaitOptions = {}): Promise<BrokerConnection> {
    if (this.closed) throw this.closing.reason
    const open = this.openTo(address, purpose)
    if (open !== undefined) return open
    const slot = this.#slotOf(address, purpose)
    if (slot.refusal !== undefined && this.#options.clock.monotonic() < slot.notBeforeMs) throw slot.refusal
    slot.opening ??= this.#open(slot).finally(() => {
      slot.opening = undefined
    })
    return until(slot.opening, signal)
  }

  /** Addresses with an open connection for a purpose, and that. To look at: `openTo` is for who is about to use one. */
  openFor(purpose: Purpose): [address: BrokerAddress, connection: BrokerConnection][] {
    return [...this.#slots.values()].flatMap((slot) =>
      slot.purpose !== purpose || slot.connection === undefined || slot.connection.closed ? [] : [[slot.address, slot.connection]],
    )
  }

  /** Runs whenever a connection has been made. */
  onConnected(listener: (connection: BrokerConnection, purpose: Purpose) => void): void {
    this.#connectedListeners.push(listener)
  }

  /** Over all connections to the address that there have been; undefined: there has been none. */
  countsOf(address: BrokerAddress): RequestCounts | undefined {
    return this.#byAddress.get(addressKey(address))
  }

  get metrics(): { connectionCount: number; connectionCreations: Meter; all: RequestCounts } {
    let connectionCount = 0
    for (const { connection } of this.#slots.values()) if (connection !== undefined && !connection.closed) connectionCount++
    return { connectionCount, connectionCreations: this.#connectionCreations, all: this.#all }
  }

  /** Closes what is open; what is asked for later is connected anew. */
  closeConnections(): void {
    for (const { connection } of this.#slots.values()) connection?.close()
  }

  /** The same of one broker. */
  closeConnectionsTo({ host, port }: BrokerAddress): void {
    for (const { address, connection } of this.#slots.values()) if (address.host === host && address.port === port) connection?.close()
  }

  close(): void {
    if (this.closed) return
    this.#idleTimer?.cancel()
    this.#closing.abort(new ClosedError(this.#options.client))
    this.closeConnections()
    this.#slots.clear()
  }

  #slotOf(address: BrokerAddress, purpose: Purpose): Slot {
    const key = keyOf(address, purpose)
    let slot = this.#slots.get(key)
    if (slot === undefined) {
      slot = { address, purpose, connection: undefined, opening: undefined, failures: 0, notBeforeMs: 0, refusal: undefined, lastUsedMs: 0 }
      this.#slots.set(key, slot)
    }
    return slot
  }

  #countsOf(address: BrokerAddress): RequestCounts {
    const key = addressKey(address)
    let counts = this.#byAddress.get(key)
    if (counts === undefined) {
      counts = new RequestCounts(this.#all)
      this.#byAddress.set(key, counts)
    }
    return counts
  }

  async #open(slot: Slot): Promise<BrokerConnection> {
    const { clock, random, config, logger, observer, security, resolver } = this.#options
    const waitMs = slot.notBeforeMs - clock.monotonic()
    if (waitMs > 0) await sleep(clock, waitMs, this.closing)
    const { purpose, address } = slot
    const { host, port } = address
    const setupMs = config['socket.connection.setup.timeout.ms']
    const setupMaxMs = config['socket.connection.setup.timeout.max.ms']
    try {
      const connection = await BrokerConnection.open(address, {
        clientId: config['client.id'],
        requestTimeoutMs: config['request.timeout.ms'],
        connectTimeoutMs: backoffMs(random, slot.failures, setupMs, setupMaxMs),
        security,
        resolver,
        clock,
        observer,
        random,
        signal: this.closing,
        counts: this.#countsOf(address),
      })
      if (this.closed) {
        connection.close()
        throw this.closing.reason
      }
      slot.failures = 0
      this.lastFailure = undefined
      slot.refusal = undefined
      slot.connection = connection
      slot.lastUsedMs = clock.monotonic()
      this.#connectionCreations.record(1, slot.lastUsedMs)
      connection.onClose((reason) => {
        if (slot.connection === connection) slot.connection = undefined
        if (!this.closed && !(reason instanceof DisconnectedError)) logger.warn('connection lost', { host, port, reason: reason.message })
      })
      this.#watchIdle()
      logger.debug('connected', { host, port, purpose })
      for (const listener of this.#connectedListeners) listener(connection, purpose)
      return connection
    } catch (error) {
      if (this.closed) throw this.closing.reason
      const maxMs = config['reconnect.backoff.max.ms']
      const isRefused = isFatal(error)
      const backoff = isRefused
        ? backoffMs(random, slot.failures, maxMs, MAX_REFUSAL_MS)
        : backoffMs(random, slot.failures, config['reconnect.backoff.ms'], maxMs)
      const reason = messageOf(error)
      if (slot.failures === 0) logger.warn('cannot connect', { host, port, reason })
      slot.failures++
      this.lastFailure = error
      slot.refusal = isRefused ? error : undefined
      slot.notBeforeMs = clock.monotonic() + backoff
      throw error
    }
  }

  #watchIdle(): void {
    const idleMs = this.#options.config['connections.max.idle.ms']
    if (this.#idleTimer !== undefined || idleMs < 0) return
    this.#idleTimer = this.#options.clock.setTimer(Math.max(1, idleMs / IDLE_CHECKS_PER_IDLE_TIME), () => {
      this.#idleTimer = undefined
      let open = 0
      for (const slot of this.#slots.values()) {
        if (slot.connection === undefined) continue
        if (slot.connection.pending === 0 && this.#options.clock.monotonic() - slot.lastUsedMs >= idleMs) slot.connection.close()
        else open++
      }
      if (open > 0 && !this.closed) this.#watchIdle()
    })
  }
}

const addressKey = ({ host, port }: BrokerAddress): string => `${host}:${port}`
const keyOf = (address: BrokerAddress, purpose: Purpose): string => `${addressKey(address)}/${purpose}`
