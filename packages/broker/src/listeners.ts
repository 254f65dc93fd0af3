import type { Clock, Logger } from '@tidelog/core'
import { ConfigError } from '@tidelog/core'
import { type FrameHandler, type FrameServer, listenForFrames, RequestBudget } from '@tidelog/net'
import type { BrokerConfig } from './config/broker-config.ts'
import type { Endpoint } from './config/listeners.ts'
import { ConnectionLimits } from './connection-limits.ts'

/** What all connections may have in flight while `queued.max.request.bytes` sets no limit: memory is bounded all the same. */
const DEFAULT_QUEUED_BYTES = 32 * 1024 * 1024

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

/** The sockets of one broker: bound at once, so that a port in use is known before anything else is touched, served when it is ready. */
export class BrokerListeners {
  readonly #open: Open[] = []

  /** @throws ConfigError naming the listener that cannot be bound */
  static async bind(
    endpoints: readonly Endpoint[],
    { config, clock, logger }: { config: BrokerConfig; clock: Clock; logger: Logger },
  ): Promise<BrokerListeners> {
    const listeners = new BrokerListeners()
    const limits = new ConnectionLimits(config, clock)
    const queued = config['queued.max.request.bytes']
    const budget = new RequestBudget(queued > 0 ? queued : DEFAULT_QUEUED_BYTES)
    for (const endpoint of endpoints) {
      const gate = new Gate()
      try {
        const server = await listenForFrames({
          host: endpoint.host === '' ? undefined : endpoint.host,
          port: endpoint.port,
          backlog: config['socket.listen.backlog.size'],
          limits: { maxFrameBytes: config['socket.request.max.bytes'] },
          maxIdleMs: config['connections.max.idle.ms'],
          budget,
          clock,
          logger: logger.child({ listener: endpoint.listenerName }),
          handle: (frame, connection) => gate.handle(frame, connection),
          mayOverlap: (frame) => gate.mayOverlap(frame),
          letsGoOf: (frame) => gate.letsGoOf(frame),
          admit: (address) => limits.refusal(address),
          admissionDelayMs: () => limits.creationDelayMs(),
          onConnection: (connection) => {
            limits.opened(connection.remoteAddress)
            connection.onClose(() => limits.closed(connection.remoteAddress))
          },
        })
        listeners.#open.push({ endpoint, server, gate })
      } catch (error) {
        await listeners.close(0)
        throw new ConfigError('listeners', `listeners: ${endpoint.listenerName}://${endpoint.host}:${endpoint.port} ${reasonOf(error)}`)
      }
    }
    return listeners
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
    for (const { endpoint, gate } of this.#open) gate.open(handlerOf(endpoint.listenerName))
  }

  /** Closes every connection, each after the answers to what it has in progress, or when `graceMs` have passed. */
  async close(graceMs: number): Promise<void> {
    await Promise.all(this.#open.map(({ server }) => server.close(graceMs)))
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
