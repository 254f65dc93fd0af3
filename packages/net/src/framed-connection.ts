import type { Socket } from 'node:net'
import { ByteReader, ByteWriter, type Clock, messageOf, systemClock, type Timer } from '@tidelog/core'
import { type Api, ApiVersions, type RequestInput, ResponseHeader, type ResponseOf, writeRequestHeader } from '@tidelog/protocol'
import { isTlsAlert, openSocket, reasonOf, type SocketOptions } from './client-socket.ts'
import { ConnectionError } from './connection-error.ts'
import { FRAME_HEADER_BYTES, FrameReader } from './frame-reader.ts'
import type { ReadTarget } from './shared-read-buffer.ts'

export interface ConnectOptions extends SocketOptions {
  /** Sent with every request; names the client in the broker's logs and quotas. */
  readonly clientId: string | null
  /** A request unanswered for so long fails, and the connection with it, since later answers come behind the missing one. */
  readonly requestTimeoutMs: number
  /** How long connecting may take, proxy and TLS included; `requestTimeoutMs` when absent. */
  readonly connectTimeoutMs?: number
  /** Aborts connecting. */
  readonly signal?: AbortSignal
  /** Requests sent and not answered; more wait their turn, in order. */
  readonly maxInFlight?: number
  /** A longer answer fails the connection. */
  readonly maxResponseBytes?: number
  readonly clock?: Clock
  readonly observer?: ExchangeObserver | undefined
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
  /** It has been written to the socket. */
  sent?(exchange: Exchange): void
  /** @param bytes Size of the answer. */
  answered?(exchange: Exchange, answer: { readonly response: unknown; readonly bytes: number; readonly nowMs: number }): void
  /** No answer came in time; the connection closes. */
  timedOut?(exchange: Exchange): void
  /** A request has to wait for its turn, or its turn has come: so many wait now. */
  waiting?(queue: { readonly host: string; readonly port: number; readonly size: number }): void
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
  /**
   * Runs `exchange` with a `send` of its own, whose requests leave at once, behind what has left already; all others wait, in order, until it
   * ends; when it fails, the connection does. For SASL, amid which a broker takes no other request.
   */
  exclusively<T>(exchange: (send: FramedConnection['send']) => Promise<T>): Promise<T>
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

/** @throws ConnectionError `refused`, `unresolved`, `tls`, `proxy`, `timeout` or `aborted`. */
export async function connect(options: ConnectOptions): Promise<FramedConnection> {
  const { host, port, signal } = options
  const clock = options.clock ?? systemClock
  const timeoutMs = options.connectTimeoutMs ?? options.requestTimeoutMs
  const attempt = new AbortController()
  const onAbort = () => attempt.abort(new ConnectionError('aborted', `connecting to ${host}:${port} was aborted`))
  if (signal?.aborted) onAbort()
  attempt.signal.throwIfAborted()
  signal?.addEventListener('abort', onAbort, { once: true })
  const timer = clock.setTimer(timeoutMs, () =>
    attempt.abort(new ConnectionError('timeout', `no connection to ${host}:${port} within ${timeoutMs} ms`)),
  )
  const connection = new Connection(options, clock)
  try {
    const onBytes = (bytes: Uint8Array) => connection.receive(bytes)
    connection.attach(await openSocket({ ...options, timeoutMs, clock, onBytes, target: connection, signal: attempt.signal }))
    return connection
  } finally {
    timer.cancel()
    signal?.removeEventListener('abort', onAbort)
  }
}

interface Pending {
  readonly correlationId: number
  readonly frame: readonly Uint8Array[]
  readonly frameBytes: number
  readonly decode: ((frame: Buffer) => unknown) | undefined
  readonly resolve: (response: never) => void
  readonly reject: (error: Error) => void
  readonly apiName: string
  readonly timeoutMs: number
  /** Monotonic time at which it has waited for too long. */
  readonly dueMs: number
  /** undefined unless somebody observes. */
  readonly exchange: Exchange | undefined
}

class Connection implements FramedConnection, ReadTarget {
  readonly host: string
  readonly port: number
  #socket: Socket | undefined
  readonly #options: ConnectOptions
  readonly #clock: Clock
  readonly #maxInFlight: number
  readonly #reader: FrameReader
  /** Sent, in order; the next answer belongs to the first. */
  readonly #inFlight: Pending[] = []
  readonly #waiting: Pending[] = []
  /** An exchange has the connection to itself; nothing that waits may leave. */
  #isExclusive = false
  #hasAnswered = false
  readonly #closeListeners: ((reason: ConnectionError) => void)[] = []
  #nextCorrelationId = 0
  /** What the observer was told last. */
  #toldWaiting = 0
  /** For the earliest time at which a request may have waited for too long; requests come and go without a timer of their own. */
  #timer: Timer | undefined
  #timerDueMs = 0
  #failure: ConnectionError | undefined

  constructor(options: ConnectOptions, clock: Clock) {
    this.host = options.host
    this.port = options.port
    this.#options = options
    this.#clock = clock
    this.#maxInFlight = Math.max(1, options.maxInFlight ?? defaultMaxInFlight)
    this.#reader = new FrameReader(options.maxResponseBytes ?? defaultMaxResponseBytes)
  }

  /** @throws the ConnectionError of what has arrived meanwhile */
  attach(socket: Socket): void {
    const { host, port } = this
    this.#socket = socket
    socket.on('error', (error) => this.fail(this.#lostBy(error)))
    socket.on('close', () => this.fail(new ConnectionError('closed', `${host}:${port} closed the connection`)))
    if (socket.destroyed) this.fail(new ConnectionError('closed', `${host}:${port} closed the connection at once`))
    if (this.#failure === undefined) return
    socket.destroy()
    throw this.#failure
  }

  #lostBy(error: Error): ConnectionError {
    const { host, port } = this
    if (!this.#hasAnswered && isTlsAlert(error))
      return new ConnectionError('tls', `${host}:${port} refuses our side of TLS: ${reasonOf(error)}`, { cause: error })
    return new ConnectionError('closed', `connection to ${host}:${port} failed: ${error.message}`, { cause: error })
  }

  get closed(): boolean {
    return this.#failure !== undefined
  }

  get pending(): number {
    return this.#inFlight.length + this.#waiting.length
  }

  send<A extends Api>(api: A, version: number, request: RequestInput<A>, options: SendOptions = {}): Promise<ResponseOf<A>> {
    const timeoutMs = options.timeoutMs ?? this.#options.requestTimeoutMs
    return this.#ask(api, version, request, { timeoutMs, isExclusive: false })
  }

  async exclusively<T>(exchange: (send: FramedConnection['send']) => Promise<T>): Promise<T> {
    this.#isExclusive = true
    try {
      const result = await exchange((api, version, request, { timeoutMs = this.#options.requestTimeoutMs } = {}) =>
        this.#ask(api, version, request, { timeoutMs, isExclusive: true }),
      )
      this.#isExclusive = false
      this.#sendWaiting()
      return result
    } catch (error) {
      // Half an exchange lies behind us: nothing that waits could be sent now.
      const reason = messageOf(error)
      this.fail(new ConnectionError('closed', `the connection to ${this.host}:${this.port} was given up: ${reason}`, { cause: error }))
      throw error
    }
  }

  #ask<A extends Api>(
    api: A,
    version: number,
    request: RequestInput<A>,
    { timeoutMs, isExclusive }: { timeoutMs: number; isExclusive: boolean },
  ): Promise<ResponseOf<A>> {
    return new Promise<ResponseOf<A>>((resolve, reject) => {
      this.#enqueue(api, version, request, isExclusive, {
        decode: (frame) => decodeResponse(api, version, frame),
        resolve,
        reject,
        timeoutMs,
      })
    })
  }

  sendNoResponse<A extends Api>(api: A, version: number, request: RequestInput<A>): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      this.#enqueue(api, version, request, false, { decode: undefined, resolve, reject, timeoutMs: Number.POSITIVE_INFINITY })
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
    this.#socket?.destroy()
    this.#timer?.cancel()
    for (const pending of [...this.#inFlight.splice(0), ...this.#waiting.splice(0)]) pending.reject(failure)
    for (const listener of this.#closeListeners.splice(0)) listener(failure)
  }

  #enqueue<A extends Api>(
    api: A,
    version: number,
    request: RequestInput<A>,
    isExclusive: boolean,
    { decode, resolve, reject, timeoutMs }: Pick<Pending, 'decode' | 'resolve' | 'reject' | 'timeoutMs'>,
  ): void {
    if (this.#failure !== undefined) throw this.#failure
    const correlationId = this.#nextCorrelationId
    const { chunks, bytes } = encodeRequest(api, version, request, correlationId, this.#options.clientId)
    this.#nextCorrelationId = (correlationId + 1) & 0x7fffffff
    const dueMs = this.#clock.monotonic() + timeoutMs
    // Without a spread: V8 gives each object made from one a hidden class of its own, which only a full collection takes away.
    const pending: Pending = {
      correlationId,
      frame: chunks,
      frameBytes: bytes,
      decode,
      resolve,
      reject,
      apiName: api.name,
      timeoutMs,
      dueMs,
      exchange: this.#exchangeOf(api, version, correlationId),
    }
    this.#watch(dueMs)
    if (isExclusive) {
      this.#depart(pending)
      return
    }
    this.#waiting.push(pending)
    this.#sendWaiting()
  }

  /** Looks again at that time, unless it looks before. */
  #watch(dueMs: number): void {
    if (dueMs === Number.POSITIVE_INFINITY || (this.#timer !== undefined && this.#timerDueMs <= dueMs)) return
    this.#timer?.cancel()
    this.#timerDueMs = dueMs
    this.#timer = this.#clock.setTimer(Math.max(0, dueMs - this.#clock.monotonic()), () => this.#checkDue())
  }

  #checkDue(): void {
    this.#timer = undefined
    const nowMs = this.#clock.monotonic()
    let nextDueMs = Number.POSITIVE_INFINITY
    for (const pending of [...this.#inFlight, ...this.#waiting]) {
      if (pending.dueMs <= nowMs) {
        if (pending.exchange !== undefined) this.#options.observer?.timedOut?.(pending.exchange)
        const { apiName, timeoutMs } = pending
        this.fail(new ConnectionError('timeout', `${apiName} to ${this.host}:${this.port} got no answer within ${timeoutMs} ms`))
        return
      }
      nextDueMs = Math.min(nextDueMs, pending.dueMs)
    }
    this.#watch(nextDueMs)
  }

  #exchangeOf(api: Api, version: number, correlationId: number): Exchange | undefined {
    const { observer, clientId } = this.#options
    if (observer === undefined) return undefined
    const { host, port } = this
    return { api, version, correlationId, clientId, host, port, createdMs: this.#clock.now(), sentMs: -1 }
  }

  #sendWaiting(): void {
    const { observer } = this.#options
    while (!this.#isExclusive && this.#inFlight.length < this.#maxInFlight) {
      const next = this.#waiting.shift()
      if (next === undefined) break
      this.#depart(next)
    }
    const size = this.#waiting.length
    if (observer === undefined || size === this.#toldWaiting) return
    this.#toldWaiting = size
    observer.waiting?.({ host: this.host, port: this.port, size })
  }

  #depart(pending: Pending): void {
    if (pending.exchange !== undefined) {
      pending.exchange.sentMs = this.#clock.now()
      this.#options.observer?.sent?.(pending.exchange)
    }
    if (pending.decode === undefined) {
      this.#write(pending, (error) => (error ? pending.reject(this.#failure ?? error) : (pending.resolve as () => void)()))
      return
    }
    this.#inFlight.push(pending)
    this.#write(pending)
  }

  #write({ frame, frameBytes }: Pending, done?: (error?: Error | null) => void): void {
    const socket = this.#socket!
    if (frameBytes < COPY_BELOW_BYTES) {
      socket.write(Buffer.concat(frame, frameBytes), done)
      return
    }
    socket.cork()
    frame.forEach((chunk, index) => {
      socket.write(chunk, index === frame.length - 1 ? done : undefined)
    })
    socket.uncork()
  }

  /** Takes what arrives; valid only during the call. */
  receive(bytes: Uint8Array): void {
    this.#read(() => this.#reader.push(bytes, this.#onFrame))
  }

  get room(): Uint8Array | undefined {
    return this.#reader.room
  }

  onArrived(count: number): void {
    this.#read(() => this.#reader.arrived(count, this.#onFrame))
  }

  readonly #onFrame = (frame: Buffer) => this.#answer(frame)

  #read(take: () => void): void {
    if (this.#failure !== undefined) return
    try {
      take()
    } catch (error) {
      const reason = messageOf(error)
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
    if (pending.exchange !== undefined)
      this.#options.observer?.answered?.(pending.exchange, { response, bytes: frame.length, nowMs: this.#clock.now() })
    this.#hasAnswered = true
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
