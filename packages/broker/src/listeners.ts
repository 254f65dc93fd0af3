import type { Clock, Logger } from '@tidelog/core'
import { ConfigError } from '@tidelog/core'
import { type FrameHandler, type FrameServer, listenForFrames, RequestBudget } from '@tidelog/net'
import type { BrokerConfig } from './config/broker-config.ts'
import type { Endpoint } from './config/listeners.ts'
import { ConnectionLimits } from './connection-limits.ts'

/** What all connections may have in flight while `queued.max.request.bytes` sets no limit: memory is bounded all the same. */
const DEFAULT_QUEUED_BYTES = 16 * 1024 * 1024

/** Until a broker has its handlers, what clients send waits: a connection made in that time is served late, not refused. */
class Gate implements FrameHandler {
  #handler: FrameHandler | undefined
  #open!: () => void
  readonly #opened = new Promise<void>((resolve) => {
    this.#open = resolve
  })

  open(handler: FrameHandler): void {
    this.#handler = handler
    this.#open()
  }

  handle(...args: Parameters<FrameHandler['handle']>): ReturnType<FrameHandler['handle']> {
    return this.#handler?.handle(...args) ?? this.#opened.then(() => this.#handler!.handle(...args))
  }

  mayOverlap(frame: Buffer): boolean {
    return this.#handler?.mayOverlap(frame) ?? false
  }

  letsGoOf(frame: Buffer): boolean {
    return this.#handler?.letsGoOf?.(frame) ?? false
  }
}

interface Open {
  readonly endpoint: Endpoint
  readonly server: FrameServer
  readonly gate: Gate
}

export interface BrokerListenersOptions {
  readonly config: BrokerConfig
  /** Live: values of single listeners, by their whole names. */
  readonly ofListeners: ReadonlyMap<string, string>
  readonly clock: Clock
  readonly logger: Logger
}

const isSame = (a: Endpoint, b: Endpoint): boolean => a.listenerName === b.listenerName && a.host === b.host && a.port === b.port

/**
 * The sockets of one broker: bound at once, so that a port in use is known before anything else is touched, served when it is ready. They come and
 * go with the configuration; connections of one that stays notice nothing.
 */
export class BrokerListeners {
  readonly #options: BrokerListenersOptions
  readonly #limits: ConnectionLimits
  readonly #budget: RequestBudget
  #open: Open[] = []
  #handlerOf: ((listenerName: string) => FrameHandler) | undefined
  /** Listeners that are gone, until their last connections are. */
  readonly #closing = new Set<Promise<void>>()

  /** @throws ConfigError naming the listener that cannot be bound */
  static async bind(endpoints: readonly Endpoint[], options: BrokerListenersOptions): Promise<BrokerListeners> {
    const listeners = new BrokerListeners(options)
    await listeners.open(endpoints)
    return listeners
  }

  /** Use `bind`. */
  constructor(options: BrokerListenersOptions) {
    this.#options = options
    this.#limits = new ConnectionLimits(options)
    const queued = options.config['queued.max.request.bytes']
    this.#budget = new RequestBudget(queued > 0 ? queued : DEFAULT_QUEUED_BYTES)
  }

  /** Where each listener is bound, with the port that was taken for 0. */
  get bound(): readonly Endpoint[] {
    return this.#open.map(({ endpoint, server }) => ({ ...endpoint, port: server.port }))
  }

  /** Connections over all listeners. */
  get connections(): number {
    return this.#open.reduce((sum, { server }) => sum + server.connections.size, 0)
  }

  /** Begins to serve; requests that have come already are first. */
  serve(handlerOf: (listenerName: string) => FrameHandler): void {
    this.#handlerOf = handlerOf
    for (const { endpoint, gate } of this.#open) gate.open(handlerOf(endpoint.listenerName))
  }

  /**
   * Opens those that are not open at that address, and leaves all others as they are.
   * @throws ConfigError naming the listener that cannot be bound; none is opened then
   */
  async open(endpoints: readonly Endpoint[]): Promise<void> {
    const opened: Open[] = []
    try {
      for (const endpoint of endpoints)
        if (!this.#open.some((known) => isSame(known.endpoint, endpoint))) opened.push(await this.#listen(endpoint))
    } catch (error) {
      await Promise.all(opened.map(({ server }) => server.close(0)))
      throw error
    }
    this.#open.push(...opened)
  }

  /** Closes all others: they take no more connections from now on, and those that are open end as in `close`. */
  keep(endpoints: readonly Endpoint[], graceMs: number): void {
    const isKept = ({ endpoint }: Open) => endpoints.some((wanted) => isSame(endpoint, wanted))
    for (const open of this.#open) {
      if (isKept(open)) continue
      // Who came in time to a broker that has no handlers yet is not answered.
      const closed = open.server.close(this.#handlerOf === undefined ? 0 : graceMs).finally(() => this.#closing.delete(closed))
      this.#closing.add(closed)
    }
    this.#open = this.#open.filter(isKept)
  }

  /** Closes every connection, each after the answers to what it has in progress, or when `graceMs` have passed. */
  async close(graceMs: number): Promise<void> {
    await Promise.all([...this.#open.map(({ server }) => server.close(graceMs)), ...this.#closing])
  }

  async #listen(endpoint: Endpoint): Promise<Open> {
    const { config, clock, logger } = this.#options
    const { listenerName, host, port } = endpoint
    const limits = this.#limits
    const gate = new Gate()
    try {
      const server = await listenForFrames({
        host: host === '' ? undefined : host,
        port,
        backlog: config['socket.listen.backlog.size'],
        limits: { maxFrameBytes: config['socket.request.max.bytes'] },
        maxIdleMs: config['connections.max.idle.ms'],
        budget: this.#budget,
        clock,
        logger: logger.child({ listener: listenerName }),
        handle: (frame, connection) => gate.handle(frame, connection),
        mayOverlap: (frame) => gate.mayOverlap(frame),
        letsGoOf: (frame) => gate.letsGoOf(frame),
        admit: (address) => limits.refusal(address, listenerName),
        admissionDelayMs: () => limits.creationDelayMs(listenerName),
        onConnection: (connection) => {
          limits.opened(connection.remoteAddress, listenerName)
          connection.onClose(() => limits.closed(connection.remoteAddress, listenerName))
        },
      })
      if (this.#handlerOf !== undefined) gate.open(this.#handlerOf(listenerName))
      return { endpoint, server, gate }
    } catch (error) {
      throw new ConfigError('listeners', `listeners: ${listenerName}://${host}:${port} ${reasonOf(error)}`)
    }
  }
}

const reasons = new Map([
  ['EADDRINUSE', 'is in use by another process'],
  ['EADDRNOTAVAIL', 'is not an address of this machine'],
  ['ENOTFOUND', 'is not a known host'],
  ['EACCES', 'may not be opened by this user'],
])

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  return reasons.get(code ?? '') ?? `cannot be opened: ${message}`
}
