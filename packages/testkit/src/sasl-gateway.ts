import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { ByteReader, ByteWriter } from '@tidelog/core'
import { FrameReader } from '@tidelog/net'
import { type Api, ApiVersions, apiByKey, ResponseHeader, readRequestHeader, SaslAuthenticate, SaslHandshake } from '@tidelog/protocol'
import { framed } from './raw-peer.ts'

/** Something with an `after`: node:test's TestContext. */
interface Cleanup {
  after(close: () => void | Promise<void>): void
}

export interface SaslGatewayOptions {
  readonly username: string
  readonly password: string
  /** How long a login holds; who sends anything but a new login later is cut off, as by Kafka. */
  readonly sessionLifetimeMs: number
  /** How much later than that requests are still taken, since a slow machine may hold them up. */
  readonly graceMs: number
}

/**
 * A listener that wants SASL PLAIN in front of a broker that does not serve it, with Kafka's rules: one request of a connection at a time,
 * nothing but SASL before and amid a login, nothing but a login after a session's end (KIP-368).
 */
export class SaslGateway {
  readonly port: number
  readonly #options: SaslGatewayOptions
  readonly #sockets = new Set<Socket>()
  /** Where the broker is. */
  target: { readonly host: string; readonly port: number } | undefined
  /** Logins that succeeded on a connection that had one. */
  renewals = 0
  refusals = 0
  /** Connections cut off for what they sent, with the reason. */
  readonly violations: string[] = []

  static async start(t: Cleanup, options: SaslGatewayOptions): Promise<SaslGateway> {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const gateway = new SaslGateway((server.address() as AddressInfo).port, options)
    server.on('connection', (client) => gateway.#accept(client))
    t.after(() => {
      for (const socket of gateway.#sockets) socket.destroy()
      server.close()
    })
    return gateway
  }

  /** Use `start`. */
  constructor(port: number, options: SaslGatewayOptions) {
    this.port = port
    this.#options = options
  }

  #accept(client: Socket): void {
    const broker = connect({ ...this.target!, noDelay: true })
    const session = new GatewaySession(this, this.#options, client, broker)
    for (const socket of [client, broker]) {
      this.#sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        this.#sockets.delete(socket)
        client.destroy()
        broker.destroy()
      })
    }
    const requests = new FrameReader(2 ** 26)
    client.on('data', (chunk) => requests.push(chunk, (frame) => session.request(frame)))
    const answers = new FrameReader(2 ** 26)
    broker.on('data', (chunk) => answers.push(chunk, (frame) => session.answer(frame)))
  }
}

class GatewaySession {
  readonly #gateway: SaslGateway
  readonly #options: SaslGatewayOptions
  readonly #client: Socket
  readonly #broker: Socket
  #done: Promise<void> = Promise.resolve()
  #answered: (frame: Buffer) => void = () => {}
  #isLoggingIn = false
  #endsAtMs: number | undefined

  constructor(gateway: SaslGateway, options: SaslGatewayOptions, client: Socket, broker: Socket) {
    this.#gateway = gateway
    this.#options = options
    this.#client = client
    this.#broker = broker
  }

  answer(frame: Buffer): void {
    this.#answered(frame)
  }

  request(frame: Buffer): void {
    this.#done = this.#done.then(() => this.#serve(frame))
  }

  async #serve(frame: Buffer): Promise<void> {
    const api = apiByKey(frame.readInt16BE(0))!
    if (api.key === SaslHandshake.key || api.key === SaslAuthenticate.key) return this.#logIn(api, frame)
    const isFirst = this.#endsAtMs === undefined && api.key === ApiVersions.key && !this.#isLoggingIn
    if (!isFirst) {
      const problem = this.#isLoggingIn
        ? `${api.name} amid a login`
        : this.#endsAtMs === undefined
          ? `${api.name} before a login`
          : performance.now() > this.#endsAtMs
            ? `${api.name} after the session`
            : undefined
      if (problem !== undefined) {
        this.#gateway.violations.push(problem)
        this.#client.destroy()
        return
      }
    }
    const answer = new Promise<Buffer>((resolve) => {
      this.#answered = resolve
    })
    this.#broker.write(framed(frame))
    const bytes = await answer
    this.#client.write(framed(api.key === ApiVersions.key ? withSasl(bytes, frame.readInt16BE(2)) : bytes))
  }

  #logIn(api: Api, frame: Buffer): void {
    const version = frame.readInt16BE(2)
    const reader = new ByteReader(frame)
    const { correlationId } = readRequestHeader(reader, api.requestHeaderVersion(version))
    const request = api.request.codec(version).read(reader) as { mechanism?: string; authBytes?: Buffer }
    if (api.key === SaslHandshake.key) {
      this.#isLoggingIn = request.mechanism === 'PLAIN'
      this.#say(api, version, correlationId, { errorCode: this.#isLoggingIn ? 0 : 33, mechanisms: ['PLAIN'] })
      return
    }
    const { username, password, sessionLifetimeMs, graceMs } = this.#options
    const isRight = request.authBytes?.toString() === `\0${username}\0${password}`
    const base = { authBytes: Buffer.alloc(0), sessionLifetimeMs }
    if (!this.#isLoggingIn || !isRight) {
      this.#gateway.refusals++
      this.#say(api, version, correlationId, { ...base, errorCode: 58, errorMessage: 'Invalid username or password' })
      this.#client.end()
      return
    }
    this.#isLoggingIn = false
    if (this.#endsAtMs !== undefined) this.#gateway.renewals++
    this.#endsAtMs = performance.now() + sessionLifetimeMs + graceMs
    this.#say(api, version, correlationId, { ...base, errorCode: 0, errorMessage: null })
  }

  #say(api: Api, version: number, correlationId: number, body: object): void {
    const writer = new ByteWriter()
    ResponseHeader.codec(api.responseHeaderVersion(version)).write(writer, { correlationId })
    api.response.codec(version).write(writer, body as never)
    this.#client.write(framed(writer.toBuffer()))
  }
}

/** The broker behind does not announce SASL. */
function withSasl(frame: Buffer, version: number): Buffer {
  const reader = new ByteReader(frame)
  const { correlationId } = ResponseHeader.codec(0).read(reader)
  const response = ApiVersions.response.codec(version).read(reader)
  const sasl = [SaslHandshake, SaslAuthenticate].map(({ key, versions: [minVersion, maxVersion] }) => ({
    apiKey: key,
    minVersion,
    maxVersion,
  }))
  const others = response.apiKeys.filter(({ apiKey }) => sasl.every((one) => one.apiKey !== apiKey))
  const writer = new ByteWriter()
  ResponseHeader.codec(0).write(writer, { correlationId })
  ApiVersions.response.codec(version).write(writer, { ...response, apiKeys: [...others, ...sasl] })
  return writer.toBuffer()
}
