import type { Socket } from 'node:net'
import type { Clock, Logger } from '@tidelog/core'
import type { FrameMemory } from './frame-memory.ts'
import { FRAME_HEADER_BYTES, FrameLengthError, FrameReader } from './frame-reader.ts'
import type { BudgetWaiter, RequestBudget } from './request-budget.ts'
import { rewireAccepted } from './shared-read-buffer.ts'

export interface ReplyBytes {
  /** In order, without the frame's length. */
  readonly chunks: readonly Uint8Array[]
  /** Called when the system has taken the bytes, and nobody reads them any more; never when the connection is lost before. */
  readonly onSent?: (() => void) | undefined
}

/** null: this request has no reply. */
export type Reply = ReplyBytes | null

export interface FrameHandler {
  /** Starts a request. A rejection or exception closes the connection; what went wrong has then been logged by the handler. */
  handle(frame: Buffer, connection: ServerConnection): Promise<Reply>
  /**
   * True for a request that, once `handle` has returned, lets another such request start: both have by then taken their places in order.
   * Every other request starts when all before it are done, and holds up those behind it until it is done.
   */
  mayOverlap(frame: Buffer): boolean
  /** True when nothing refers to the frame's bytes any more once `handle` has settled, its reply included: the memory is then used again. */
  letsGoOf?(frame: Buffer): boolean
}

/** Bounds of one connection's memory; beyond them it is no longer read. */
export interface ConnectionLimits {
  /** Largest frame; a longer one closes the connection (`socket.request.max.bytes`). */
  readonly maxFrameBytes: number
  /** Requests received and not yet answered. */
  readonly maxRequestsInFlight: number
  /** Bytes of those requests. */
  readonly maxRequestBytes: number
  /** Bytes of replies that the peer has not taken yet: above it no further request starts. */
  readonly maxOutputBytes: number
}

export const defaultLimits: ConnectionLimits = {
  maxFrameBytes: 100 * 1024 * 1024,
  maxRequestsInFlight: 64,
  maxRequestBytes: 8 * 1024 * 1024,
  maxOutputBytes: 1024 * 1024,
}

/** Replies smaller than this leave as one copied buffer, larger ones as a gathered write of their chunks. */
const COPY_BELOW_BYTES = 16 * 1024

interface Exchange {
  readonly frameBytes: number
  reply: Reply | undefined
}

/**
 * The broker's end of one connection. Requests start in order of arrival, replies leave in that order, those that are ready together in one
 * write. The peer is no longer read while too much of it is in flight or it does not take its replies.
 */
export class ServerConnection implements BudgetWaiter {
  readonly id: string
  readonly remoteAddress: string
  readonly remotePort: number
  readonly #socket: Socket
  readonly #handler: FrameHandler
  readonly #limits: ConnectionLimits
  readonly #budget: RequestBudget
  readonly #memory: FrameMemory
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #reader: FrameReader
  readonly #waiting: Buffer[] = []
  /** Requests that have started and whose replies have not left, in order. */
  readonly #exchanges: Exchange[] = []
  readonly #closeListeners = new Set<() => void>()
  #running = 0
  #runningExclusively = false
  #requestBytes = 0
  #outputBytes = 0
  #flushScheduled = false
  #paused = false
  #ended = false
  #closed = false
  #lastProgressMs: number

  constructor(
    accepted: Socket,
    options: {
      id: string
      remoteAddress: string
      remotePort: number
      handler: FrameHandler
      limits: ConnectionLimits
      budget: RequestBudget
      memory: FrameMemory
      clock: Clock
      logger: Logger
    },
  ) {
    this.id = options.id
    this.remoteAddress = options.remoteAddress
    this.remotePort = options.remotePort
    this.#handler = options.handler
    this.#limits = options.limits
    this.#budget = options.budget
    this.#clock = options.clock
    this.#logger = options.logger
    this.#memory = options.memory
    this.#reader = new FrameReader(options.limits.maxFrameBytes, options.memory)
    this.#lastProgressMs = options.clock.monotonic()
    const socket = rewireAccepted(accepted, (bytes) => this.#receive(bytes))
    this.#socket = socket
    socket.setNoDelay(true)
    socket.on('error', (error) => this.#logger.debug('connection failed', { peer: this.remoteAddress, reason: error.message }))
    socket.on('close', () => this.#onClose())
    // A peer that has sent its last request may still wait for the replies.
    socket.on('end', () => this.#onPeerDone())
    socket.resume()
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Bytes of requests received and not yet answered. */
  get requestBytes(): number {
    return this.#requestBytes
  }

  /** Bytes of replies that the peer has not taken yet. */
  get outputBytes(): number {
    return this.#outputBytes
  }

  /** Calls `listener` once when the connection closes; the returned function takes it back. */
  onClose(listener: () => void): () => void {
    if (this.#closed) {
      listener()
      return () => {}
    }
    this.#closeListeners.add(listener)
    return () => void this.#closeListeners.delete(listener)
  }

  /**
   * Ms since the peer last sent or took bytes; 0 while one of its requests is being worked on and it owes us nothing: waiting for the broker
   * is not idling. Source: `connections.max.idle.ms`.
   */
  idleMs(nowMs: number): number {
    return this.#running > 0 && this.#outputBytes === 0 ? 0 : nowMs - this.#lastProgressMs
  }

  /** Closes at once; replies that have not left are dropped. What started goes on to its end. */
  destroy(): void {
    this.#socket.destroy()
    this.#onClose()
  }

  /** Stops reading, and closes when the requests that have started are answered. */
  end(): void {
    this.#dropWaiting()
    this.#onPeerDone()
  }

  #onPeerDone(): void {
    if (this.#ended || this.#closed) return
    this.#ended = true
    this.#pauseOrResume()
    this.#endWhenDone()
  }

  onBudgetFreed(): void {
    this.#pauseOrResume()
  }

  #receive(bytes: Uint8Array): void {
    if (this.#closed || this.#ended) return
    this.#lastProgressMs = this.#clock.monotonic()
    try {
      this.#reader.push(bytes, (frame) => {
        this.#requestBytes += frame.length + FRAME_HEADER_BYTES
        this.#budget.take(frame.length + FRAME_HEADER_BYTES)
        this.#waiting.push(frame)
      })
    } catch (error) {
      if (!(error instanceof FrameLengthError)) throw error
      this.#logger.warn('closed a connection that does not speak this protocol', { peer: this.remoteAddress, reason: error.message })
      this.destroy()
      return
    }
    this.#startWaiting()
  }

  #startWaiting(): void {
    while (!this.#closed && this.#outputBytes <= this.#limits.maxOutputBytes) {
      const frame = this.#waiting[0]
      if (frame === undefined) break
      const overlaps = this.#running === 0 || (!this.#runningExclusively && this.#handler.mayOverlap(frame))
      if (!overlaps) break
      this.#waiting.shift()
      this.#start(frame)
    }
    this.#pauseOrResume()
  }

  #start(frame: Buffer): void {
    const exchange: Exchange = { frameBytes: frame.length + FRAME_HEADER_BYTES, reply: undefined }
    const letGo = this.#handler.letsGoOf?.(frame) === true
    this.#exchanges.push(exchange)
    this.#running++
    this.#runningExclusively = !this.#handler.mayOverlap(frame)
    this.#handler.handle(frame, this).then(
      (reply) => {
        exchange.reply = reply
        if (letGo) this.#memory.release(frame)
        this.#finished(exchange)
      },
      () => {
        exchange.reply = null
        if (letGo) this.#memory.release(frame)
        this.destroy()
        this.#finished(exchange)
      },
    )
  }

  #finished(exchange: Exchange): void {
    this.#running--
    this.#requestBytes -= exchange.frameBytes
    this.#budget.give(exchange.frameBytes)
    if (this.#closed) return
    this.#lastProgressMs = this.#clock.monotonic()
    if (!this.#flushScheduled) {
      this.#flushScheduled = true
      // Replies that become ready in this turn leave together.
      process.nextTick(() => this.#flush())
    }
  }

  #flush(): void {
    this.#flushScheduled = false
    if (this.#closed) return
    const chunks: Uint8Array[] = []
    const sent: (() => void)[] = []
    let bytes = 0
    let left = 0
    for (const { reply } of this.#exchanges) {
      if (reply === undefined) break
      left++
      if (reply === null) continue
      const header = Buffer.allocUnsafe(FRAME_HEADER_BYTES)
      let length = 0
      for (const chunk of reply.chunks) length += chunk.length
      header.writeInt32BE(length, 0)
      chunks.push(header, ...reply.chunks)
      if (reply.onSent !== undefined) sent.push(reply.onSent)
      bytes += FRAME_HEADER_BYTES + length
    }
    this.#exchanges.splice(0, left)
    if (bytes > 0) this.#write(chunks, bytes, sent)
    this.#startWaiting()
    this.#endWhenDone()
  }

  #write(chunks: readonly Uint8Array[], bytes: number, sent: readonly (() => void)[]): void {
    this.#outputBytes += bytes
    let left = bytes
    const taken = (count: number) => {
      left -= count
      if (left === 0) for (const onSent of sent) onSent()
      this.#outputBytes -= count
      this.#lastProgressMs = this.#clock.monotonic()
      if (!this.#closed) this.#startWaiting()
    }
    if (bytes < COPY_BELOW_BYTES) {
      this.#socket.write(Buffer.concat(chunks, bytes), () => taken(bytes))
      return
    }
    this.#socket.cork()
    for (const chunk of chunks) this.#socket.write(chunk, () => taken(chunk.length))
    this.#socket.uncork()
  }

  #pauseOrResume(): void {
    if (this.#closed) return
    const { maxRequestsInFlight, maxRequestBytes, maxOutputBytes } = this.#limits
    const overBudget = this.#budget.isSpent
    if (overBudget) this.#budget.wait(this)
    const full =
      overBudget ||
      this.#ended ||
      this.#waiting.length + this.#exchanges.length >= maxRequestsInFlight ||
      this.#requestBytes >= maxRequestBytes ||
      this.#outputBytes > maxOutputBytes
    if (full === this.#paused) return
    this.#paused = full
    if (full) this.#socket.pause()
    else this.#socket.resume()
  }

  #dropWaiting(): void {
    for (const frame of this.#waiting) {
      this.#requestBytes -= frame.length + FRAME_HEADER_BYTES
      this.#budget.give(frame.length + FRAME_HEADER_BYTES)
    }
    this.#waiting.length = 0
  }

  #endWhenDone(): void {
    if (!this.#ended || this.#closed || this.#exchanges.length > 0 || this.#waiting.length > 0) return
    this.#socket.end(() => this.destroy())
  }

  #onClose(): void {
    if (this.#closed) return
    this.#closed = true
    this.#dropWaiting()
    this.#reader.end()
    this.#budget.forget(this)
    for (const listener of this.#closeListeners) listener()
    this.#closeListeners.clear()
  }
}
