import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import type { Clock, Logger, Timer } from '@tidelog/core'
import { FrameMemory } from './frame-memory.ts'
import { RequestBudget } from './request-budget.ts'
import { type ConnectionLimits, defaultLimits, type FrameHandler, ServerConnection } from './server-connection.ts'

export interface FrameServerOptions extends FrameHandler {
  /** An address of this machine; undefined: all of them. */
  readonly host: string | undefined
  /** 0 takes a free port. */
  readonly port: number
  readonly clock: Clock
  readonly logger: Logger
  readonly limits?: Partial<ConnectionLimits>
  /** Shared by every server of a broker; unlimited when absent. */
  readonly budget?: RequestBudget
  /** Pending connections that the kernel keeps (`socket.listen.backlog.size`). */
  readonly backlog?: number
  /** Asked before a connection is taken: `undefined` takes it, a reason refuses it. */
  readonly admit?: (remoteAddress: string) => string | undefined
  /** Ms that the next connection waits before it is read (`max.connection.creation.rate`). */
  readonly admissionDelayMs?: () => number
  /** A connection that neither sends nor takes bytes for so long is closed (`connections.max.idle.ms`); negative: never. */
  readonly maxIdleMs?: number
  readonly onConnection?: (connection: ServerConnection) => void
}

/** A listening socket and the connections that came in through it. */
export interface FrameServer {
  readonly host: string
  readonly port: number
  readonly connections: ReadonlySet<ServerConnection>
  /** Takes no more connections; those that are open live on. */
  stopAccepting(): void
  /** Closes every connection, each after the answers to what it has in progress, or when `graceMs` have passed. Idempotent. */
  close(graceMs: number): Promise<void>
}

/** How often idle connections are looked for, at most. */
const IDLE_SWEEP_MS = 10_000

/** @throws the system's error (EADDRINUSE, EADDRNOTAVAIL, EACCES …) when the address cannot be listened on. */
export async function listenForFrames(options: FrameServerOptions): Promise<FrameServer> {
  const { clock, logger } = options
  const limits = { ...defaultLimits, ...options.limits }
  const memory = new FrameMemory()
  const budget = options.budget ?? new RequestBudget(0)
  const connections = new Set<ServerConnection>()
  let nextId = 0
  let sweep: Timer | undefined
  let closing: Promise<void> | undefined

  const delayed = new Set<{ socket: Socket; timer: Timer }>()
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, keepAlive: true }, (socket) => {
    const delayMs = options.admissionDelayMs?.() ?? 0
    if (delayMs <= 0) {
      accept(socket)
      return
    }
    const waiting = {
      socket,
      timer: clock.setTimer(delayMs, () => {
        delayed.delete(waiting)
        accept(socket)
      }),
    }
    delayed.add(waiting)
    socket.on('error', () => socket.destroy())
  })
  await listen(server, options)
  server.on('error', (error) => logger.error('a listener failed', { error }))
  const address = server.address() as AddressInfo

  function accept(socket: Socket): void {
    const { remoteAddress, remotePort, localAddress, localPort } = socket
    // A peer that is gone already has no address.
    if (remoteAddress === undefined || remotePort === undefined) {
      socket.destroy()
      return
    }
    const peer = plainAddress(remoteAddress)
    const refusal = closing === undefined ? options.admit?.(peer) : 'the broker is stopping'
    if (refusal !== undefined) {
      logger.warn('refused a connection', { peer, reason: refusal })
      socket.destroy()
      return
    }
    const connection = new ServerConnection(socket, {
      id: `${plainAddress(localAddress ?? '')}:${localPort}-${peer}:${remotePort}-${nextId++}`,
      remoteAddress: peer,
      remotePort,
      handler: options,
      limits,
      budget,
      memory,
      clock,
      logger,
    })
    connections.add(connection)
    connection.onClose(() => connections.delete(connection))
    options.onConnection?.(connection)
  }

  const maxIdleMs = options.maxIdleMs ?? -1
  function closeIdle(): void {
    const now = clock.monotonic()
    for (const connection of connections) {
      if (connection.idleMs(now) < maxIdleMs) continue
      logger.info('closed an idle connection', { peer: connection.remoteAddress, idleMs: Math.round(connection.idleMs(now)) })
      connection.destroy()
    }
    armSweep()
  }
  function armSweep(): void {
    if (maxIdleMs >= 0) sweep = clock.setTimer(Math.max(1, Math.min(IDLE_SWEEP_MS, maxIdleMs / 4)), closeIdle)
  }
  armSweep()

  async function close(graceMs: number): Promise<void> {
    sweep?.cancel()
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    const drained = new Promise<void>((resolve) => {
      if (connections.size === 0) resolve()
      for (const connection of connections) connection.onClose(() => connections.size === 0 && resolve())
    })
    for (const { socket, timer } of delayed) {
      timer.cancel()
      socket.destroy()
    }
    delayed.clear()
    for (const connection of [...connections]) connection.end()
    const deadline = clock.setTimer(graceMs, () => {
      for (const connection of [...connections]) connection.destroy()
    })
    await drained
    deadline.cancel()
    await closed
  }

  return {
    host: address.address,
    port: address.port,
    connections,
    stopAccepting: () => void server.close(),
    close: (graceMs) => {
      closing ??= close(graceMs)
      return closing
    },
  }
}

function listen(server: Server, { host, port, backlog }: FrameServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port, ...(backlog === undefined ? {} : { backlog }), exclusive: true }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** An IPv4 peer on a dual-stack socket as plain IPv4, as Java shows it. */
function plainAddress(address: string): string {
  return address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address
}
