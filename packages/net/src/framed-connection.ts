import { createConnection, type Socket } from 'node:net'
import { type ConnectionOptions as TlsOptions, connect as tlsConnect } from 'node:tls'
import { ByteReader, ByteWriter, type Clock, systemClock, type Timer } from '@tidelog/core'
import { type Api, ApiVersions, type RequestInput, ResponseHeader, type ResponseOf, writeRequestHeader } from '@tidelog/protocol'
import { FRAME_HEADER_BYTES, FrameReader } from './frame-reader.ts'
import { sharedOnread } from './shared-read-buffer.ts'

export interface ConnectOptions {
  readonly host: string
  readonly port: number
  /** Sent with every request; names the client in the broker's logs and quotas. */
  readonly clientId: string | null
  /** A request unanswered for so long fails, and the connection with it, since later answers come behind the missing one. */
  readonly requestTimeoutMs: number
  /** How long connecting may take; `requestTimeoutMs` when absent. */
  readonly connectTimeoutMs?: number
  readonly tls?: TlsOptions
  /** Aborts connecting. */
  readonly signal?: AbortSignal
  /** Requests sent and not answered; more wait their turn, in order. */
  readonly maxInFlight?: number
  /** A longer answer fails the connection. */
  readonly maxResponseBytes?: number
  readonly clock?: Clock
  readonly observer?: ExchangeObserver
}

/** A request on its way; times in ms since the Unix epoch. */
export interface Exchange {
  readonly api: Api
  readonly version: number
  readonly correlationId: number
  readonly clientId: string | null
  readonly host: string
  readonly port: number
  readonly createdMs: number
  /** -1 while it waits for its turn. */
  sentMs: number
}

/** Hears what a client says and is told, for tracing; must not throw. */
export interface ExchangeObserver {
  sent?(exchange: Exchange): void
  /** @param bytes Size of the answer. */
  answered?(exchange: Exchange, answer: { readonly response: unknown; readonly bytes: number; readonly nowMs: number }): void
  /** No answer came in time; the connection closes. */
  timedOut?(exchange: Exchange): void
  /** A request has to wait for its turn, or its turn has come: so many wait now. */
  waiting?(queue: { readonly host: string; readonly port: number; readonly size: number }): void
}

export type ConnectionErrorReason = 'refused' | 'timeout' | 'closed' | 'malformed' | 'aborted'

/** The connection could not be made or is lost, or the peer's bytes make no sense. What was in flight may or may not have taken effect. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError'
  readonly reason: ConnectionErrorReason
  constructor(reason: ConnectionErrorReason, message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

export interface SendOptions {
  /** Instead of the connection's `requestTimeoutMs`: a request that waits on purpose (Fetch, JoinGroup) needs longer. */
  readonly timeoutMs?: number
}

/** The client's end of one connection. */
export interface FramedConnection {
  readonly host: string
  readonly port: number
  readonly closed: boolean
  /** Requests that are sent and not answered, or wait to be sent. */
  readonly pending: number
  /**
   * Requests leave in order of the calls.
   * @throws ConnectionError when the connection is lost before the answer, RangeError for values that the version cannot carry.
   */
  send<A extends Api>(api: A, version: number, request: RequestInput<A>, options?: SendOptions): Promise<ResponseOf<A>>
  /** For requests without an answer: Produce with acks=0. Resolves when the bytes have been handed to the system. */
  sendNoResponse<A extends Api>(api: A, version: number, request: RequestInput<A>): Promise<void>
  /** Calls `listener` once when the connection closes, with the reason. */
  onClose(listener: (reason: ConnectionError) => void): void
  /** Fails what is pending with `closed`. Idempotent. */
  close(): void
}

const defaultMaxInFlight = 100
const defaultMaxResponseBytes = 512 * 1024 * 1024
const COPY_BELOW_BYTES = 16 * 1024

/** @throws ConnectionError `refused`, `timeout` or `aborted`. */
export async function connect(options: ConnectOptions): Promise<FramedConnection> {
  const { host, port, signal } = options
  if (signal?.aborted) throw new ConnectionError('aborted', `connecting to ${host}:${port} was aborted`)
  const clock = options.clock ?? systemClock
  const connection = new Connection(options, clock)
  const socket = connection.socket
  return new Promise((resolve, reject) => {
    const timeoutMs = options.connectTimeoutMs ?? options.requestTimeoutMs
    const fail = (error: ConnectionError) => {
      settle()
      connection.fail(error)
      reject(error)
    }
    const timer = clock.setTimer(timeoutMs, () =>
      fail(new ConnectionError('timeout', `no connection to ${host}:${port} within ${timeoutMs} ms`)),
    )
    const onAbort = () => fail(new ConnectionError('aborted', `connecting to ${host}:${port} was aborted`))
    const onError = (error: Error) =>
      fail(new ConnectionError('refused', `cannot connect to ${host}:${port}: ${error.message}`, { cause: error }))
    const onClosed = () => fail(new ConnectionError('refused', `${host}:${port} closed the connection at once`))
    const settle = () => {
      timer.cancel()
      signal?.removeEventListener('abort', onAbort)
      socket.off('error', onError)
      socket.off('close', onClosed)
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    socket.once('error', onError)
    socket.once('close', onClosed)
    socket.once(options.tls === undefined ? 'connect' : 'secureConnect', () => {
      settle()
      resolve(connection)
    })
  })
}

interface Pending {
  readonly correlationId: number
  readonly frame: readonly Uint8Array[]
  readonly frameBytes: number
  readonly decode: ((frame: Buffer) => unknown) | undefined
  readonly resolve: (response: never) => void
  readonly reject: (error: Error) => void
  readonly timer: Timer | undefined
  /** undefined unless somebody observes. */
  readonly exchange: Exchange | undefined
}

class Connection implements FramedConnection {
  readonly host: string
  readonly port: number
  readonly socket: Socket
  readonly #options: ConnectOptions
  readonly #clock: Clock
  readonly #maxInFlight: number
  readonly #reader: FrameReader
  /** Sent, in order; the next answer belongs to the first. */
  readonly #inFlight: Pending[] = []
  readonly #waiting: Pending[] = []
  readonly #closeListeners: ((reason: ConnectionError) => void)[] = []
  #nextCorrelationId = 0
  /** What the observer was told last. */
  #toldWaiting = 0
  #failure: ConnectionError | undefined

  constructor(options: ConnectOptions, clock: Clock) {
    const { host, port, tls } = options
    this.host = host
    this.port = port
    this.#options = options
    this.#clock = clock
    this.#maxInFlight = Math.max(1, options.maxInFlight ?? defaultMaxInFlight)
    this.#reader = new FrameReader(options.maxResponseBytes ?? defaultMaxResponseBytes)
    const receive = (bytes: Uint8Array) => this.#receive(bytes)
    const onread = tls === undefined ? sharedOnread(receive) : undefined
    if (tls !== undefined) this.socket = tlsConnect({ servername: host, ...tls, host, port })
    else this.socket = createConnection({ host, port, noDelay: true, ...(onread === undefined ? {} : { onread }) })
    if (onread === undefined) this.socket.on('data', receive)
    else this.socket.resume()
    this.socket.on('error', (error) =>
      this.fail(new ConnectionError('closed', `connection to ${host}:${port} failed: ${error.message}`, { cause: error })),
    )
    this.socket.on('close', () => this.fail(new ConnectionError('closed', `${host}:${port} closed the connection`)))
  }

  get closed(): boolean {
    return this.#failure !== undefined
  }

  get pending(): number {
    return this.#inFlight.length + this.#waiting.length
  }

  send<A extends Api>(api: A, version: number, request: RequestInput<A>, options: SendOptions = {}): Promise<ResponseOf<A>> {
    const timeoutMs = options.timeoutMs ?? this.#options.requestTimeoutMs
    return new Promise<ResponseOf<A>>((resolve, reject) => {
      this.#enqueue(api, version, request, {
        decode: (frame) => decodeResponse(api, version, frame),
        resolve,
        reject,
        timer: (exchange) =>
          this.#clock.setTimer(timeoutMs, () => {
            if (exchange !== undefined) this.#options.observer?.timedOut?.(exchange)
            this.fail(new ConnectionError('timeout', `${api.name} to ${this.host}:${this.port} got no answer within ${timeoutMs} ms`))
          }),
      })
    })
  }

  sendNoResponse<A extends Api>(api: A, version: number, request: RequestInput<A>): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      this.#enqueue(api, version, request, { decode: undefined, resolve, reject, timer: () => undefined })
    })
  }

  onClose(listener: (reason: ConnectionError) => void): void {
    if (this.#failure === undefined) this.#closeListeners.push(listener)
    else listener(this.#failure)
  }

  close(): void {
    this.fail(new ConnectionError('closed', `the connection to ${this.host}:${this.port} was closed on this side`))
  }

  fail(failure: ConnectionError): void {
    if (this.#failure !== undefined) return
    this.#failure = failure
    this.socket.destroy()
    for (const pending of [...this.#inFlight.splice(0), ...this.#waiting.splice(0)]) {
      pending.timer?.cancel()
      pending.reject(failure)
    }
    for (const listener of this.#closeListeners.splice(0)) listener(failure)
  }

  #enqueue<A extends Api>(
    api: A,
    version: number,
    request: RequestInput<A>,
    rest: Pick<Pending, 'decode' | 'resolve' | 'reject'> & { timer: (exchange: Exchange | undefined) => Timer | undefined },
  ): void {
    if (this.#failure !== undefined) throw this.#failure
    const correlationId = this.#nextCorrelationId
    const { chunks, bytes } = encodeRequest(api, version, request, correlationId, this.#options.clientId)
    this.#nextCorrelationId = (correlationId + 1) & 0x7fffffff
    const exchange = this.#exchangeOf(api, version, correlationId)
    this.#waiting.push({ ...rest, correlationId, frame: chunks, frameBytes: bytes, timer: rest.timer(exchange), exchange })
    this.#sendWaiting()
  }

  #exchangeOf(api: Api, version: number, correlationId: number): Exchange | undefined {
    const { observer, clientId } = this.#options
    if (observer === undefined) return undefined
    const { host, port } = this
    return { api, version, correlationId, clientId, host, port, createdMs: this.#clock.now(), sentMs: -1 }
  }

  #sendWaiting(): void {
    const { observer } = this.#options
    while (this.#inFlight.length < this.#maxInFlight) {
      const next = this.#waiting.shift()
      if (next === undefined) break
      if (next.exchange !== undefined) {
        next.exchange.sentMs = this.#clock.now()
        observer?.sent?.(next.exchange)
      }
      if (next.decode === undefined) {
        this.#write(next, (error) => (error ? next.reject(this.#failure ?? error) : (next.resolve as () => void)()))
        continue
      }
      this.#inFlight.push(next)
      this.#write(next)
    }
    const size = this.#waiting.length
    if (observer === undefined || size === this.#toldWaiting) return
    this.#toldWaiting = size
    observer.waiting?.({ host: this.host, port: this.port, size })
  }

  #write({ frame, frameBytes }: Pending, done?: (error?: Error | null) => void): void {
    if (frameBytes < COPY_BELOW_BYTES) {
      this.socket.write(Buffer.concat(frame, frameBytes), done)
      return
    }
    this.socket.cork()
    frame.forEach((chunk, index) => {
      this.socket.write(chunk, index === frame.length - 1 ? done : undefined)
    })
    this.socket.uncork()
  }

  #receive(bytes: Uint8Array): void {
    if (this.#failure !== undefined) return
    try {
      this.#reader.push(bytes, (frame) => this.#answer(frame))
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      this.fail(
        new ConnectionError('malformed', `${this.host}:${this.port} sent an answer that cannot be read: ${reason}`, { cause: error }),
      )
    }
  }

  #answer(frame: Buffer): void {
    const pending = this.#inFlight[0]
    if (pending?.decode === undefined) throw new Error('an answer to no request')
    const correlationId = new ByteReader(frame).int32()
    if (correlationId !== pending.correlationId)
      throw new Error(`an answer to request ${correlationId} where ${pending.correlationId} is due`)
    const response = pending.decode(frame)
    this.#inFlight.shift()
    pending.timer?.cancel()
    if (pending.exchange !== undefined)
      this.#options.observer?.answered?.(pending.exchange, { response, bytes: frame.length, nowMs: this.#clock.now() })
    pending.resolve(response as never)
    this.#sendWaiting()
  }
}

function encodeRequest<A extends Api>(
  api: A,
  version: number,
  request: RequestInput<A>,
  correlationId: number,
  clientId: string | null,
): { chunks: Uint8Array[]; bytes: number } {
  const writer = new ByteWriter()
  writeRequestHeader(
    writer,
    { requestApiKey: api.key, requestApiVersion: version, correlationId, clientId },
    api.requestHeaderVersion(version),
  )
  api.request.codec(version).write(writer, request as never)
  const header = Buffer.allocUnsafe(FRAME_HEADER_BYTES)
  header.writeInt32BE(writer.byteLength, 0)
  return { chunks: [header, ...writer.toBuffers()], bytes: FRAME_HEADER_BYTES + writer.byteLength }
}

const unsupportedVersionCode = 35

function decodeResponse<A extends Api>(api: A, version: number, frame: Buffer): ResponseOf<A> {
  const reader = new ByteReader(frame)
  ResponseHeader.codec(api.responseHeaderVersion(version)).read(reader)
  // A broker that does not know our ApiVersions version answers in version 0. Source: KIP-511.
  const refused = api.key === ApiVersions.key && reader.remaining >= 2 && frame.readInt16BE(reader.position) === unsupportedVersionCode
  const response = api.response.codec(refused ? 0 : version).read(reader)
  if (reader.remaining > 0) throw new Error(`${reader.remaining} bytes behind the answer to ${api.name} ${version}`)
  return response as ResponseOf<A>
}
