import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** Something with an `after`: node:test's TestContext. */
interface Cleanup {
  after(close: () => void | Promise<void>): void
}

/** A port that was free just now, for what must know its port before it listens. */
export async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/**
 * Breaks a connection, as a dying process does. One whose end is on its way is closed instead: a reset in the midst of a shutdown leaves the
 * socket open for ever, and the process in an endless loop when it ends (Node 20).
 */
export function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy()
  else socket.resetAndDestroy()
}

/** Stands between clients and a broker, and breaks what a test wants broken. Advertise `port` as the broker's own. */
export class TcpProxy {
  readonly port: number
  /** Where connections go from now on; undefined refuses them. */
  target: { readonly host: string; readonly port: number } | undefined
  /** Answers from the broker are held back while this is set. */
  #holdsAnswers = false
  readonly #server: Server
  readonly #pairs = new Set<readonly [client: Socket, broker: Socket]>()
  /** Connections that were made through it. */
  accepted = 0

  static async start(t: Cleanup): Promise<TcpProxy> {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const proxy = new TcpProxy(server)
    t.after(() => proxy.close())
    return proxy
  }

  /** Use `start`. */
  constructor(server: Server) {
    this.#server = server
    this.port = (server.address() as AddressInfo).port
    server.on('connection', (client) => this.#accept(client))
  }

  /** Breaks every connection, as a dying broker does; what was on its way is lost. */
  breakAll(): void {
    for (const [client, broker] of this.#pairs) {
      reset(client)
      broker.destroy()
    }
    this.#pairs.clear()
  }

  /** Requests still arrive, and answers do not: what was asked for takes effect, and the client cannot know. */
  holdAnswers(): void {
    this.#holdsAnswers = true
    for (const [, broker] of this.#pairs) broker.pause()
  }

  /** For connections made from now on; those that were held stay so until they are broken. */
  stopHolding(): void {
    this.#holdsAnswers = false
  }

  async close(): Promise<void> {
    this.breakAll()
    this.#server.close()
  }

  #accept(client: Socket): void {
    const { target } = this
    client.on('error', () => {})
    if (target === undefined) {
      reset(client)
      return
    }
    this.accepted++
    const broker = connect({ ...target, noDelay: true })
    client.setNoDelay(true)
    const pair = [client, broker] as const
    this.#pairs.add(pair)
    const end = () => {
      this.#pairs.delete(pair)
      client.destroy()
      broker.destroy()
    }
    broker.on('error', () => {})
    client.on('close', end)
    broker.on('close', end)
    client.on('data', (chunk) => broker.write(chunk))
    broker.on('data', (chunk) => client.write(chunk))
    if (this.#holdsAnswers) broker.pause()
  }
}
