import type { ExchangeObserver } from '@tidelog/net'
import { Admin } from '../../admin/admin.ts'
import { type ClientOptions, callTimeoutMs, clientOptions, type KafkaContext, retriesOf } from './client-options.ts'
import { KafkaJSError, KafkaJSProtocolError } from './errors.ts'
import { type Instrumentation, networkObserver } from './instrumentation.ts'
import { firstFailureOf } from './partial-failures.ts'
import { finalErrorOf } from './protocol-errors.ts'
import type { ResolvedRetry } from './retry.ts'
import type { NetworkEvents } from './types-client.ts'

interface LinkExtras {
  readonly metadataMaxAge?: number | undefined
  /** Hears of requests, too. */
  readonly observer?: ExchangeObserver
}

/** A client of kafkajs between connect() and disconnect(): the options that its clients of ours are made with, and an Admin of its own. */
export class Link<ByName extends object> {
  readonly #context: KafkaContext
  readonly #retry: ResolvedRetry
  readonly #observer: ExchangeObserver
  /** Hears of requests for the events that every client has, and for nothing else. */
  readonly network: ExchangeObserver
  readonly #metadataMaxAge: number | undefined
  #options: ClientOptions | undefined
  #admin: Admin | undefined
  #opening: Promise<void> | undefined

  constructor(
    context: KafkaContext,
    retry: ResolvedRetry,
    events: NetworkEvents<string>,
    instrumentation: Instrumentation<ByName>,
    { metadataMaxAge, observer }: LinkExtras = {},
  ) {
    this.#context = context
    this.#retry = retry
    const emit = (name: string, payload: object) => instrumentation.emit(name as never, payload as never)
    this.network = networkObserver(events, emit)
    this.#observer = observer === undefined ? this.network : networkObserver(events, emit, observer)
    this.#metadataMaxAge = metadataMaxAge
  }

  get isOpen(): boolean {
    return this.#admin !== undefined
  }

  /** @throws KafkaJSError before open() */
  get options(): ClientOptions {
    if (this.#options === undefined) throw new KafkaJSError('the client is not connected')
    return this.#options
  }

  /** @throws KafkaJSError before open() */
  get admin(): Admin {
    if (this.#admin === undefined) throw new KafkaJSError('the client is not connected')
    return this.#admin
  }

  /** Reaches a broker. @throws KafkaJSNumberOfRetriesExceeded around the last failure to; the failure itself when it is not worth a retry */
  async connect(): Promise<void> {
    await this.try(() => this.admin.describeCluster())
  }

  /** What every call begins with: connect() may never have been called, as in kafkajs. */
  open(): Promise<void> {
    if (this.isOpen) return Promise.resolve()
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined
    })
    return this.#opening
  }

  async #open(): Promise<void> {
    const options = await clientOptions(this.#context, this.#retry, this.#observer, this.#metadataMaxAge)
    this.#options = options
    this.#admin = new Admin({ ...options, retries: retriesOf(this.#retry), defaultApiTimeoutMs: this.callTimeoutMs() })
  }

  /** Limit of a call, its retries included. */
  callTimeoutMs(): number {
    return callTimeoutMs(this.#retry, this.options.requestTimeoutMs)
  }

  /** What a KafkaJSNumberOfRetriesExceeded says. */
  get retries(): { readonly retryCount: number; readonly retryTime: number } {
    return { retryCount: this.#retry.retries, retryTime: this.#retry.maxRetryTime }
  }

  /** A call to one of our clients, which has tried again what could be. @throws kafkajs's error for what it throws */
  async try<T>(call: () => Promise<T>): Promise<T> {
    await this.open()
    try {
      return await call()
    } catch (error) {
      throw finalErrorOf(error, this.retries)
    }
  }

  /** As try(), where kafkajs does not try again what a broker has refused. */
  async once<T>(call: () => Promise<T>): Promise<T> {
    await this.open()
    try {
      return await call()
    } catch (error) {
      const failure = firstFailureOf(error)
      throw failure instanceof KafkaJSProtocolError ? failure : finalErrorOf(error, this.retries)
    }
  }

  async close(): Promise<void> {
    const admin = this.#admin
    this.#admin = undefined
    this.#options = undefined
    await admin?.close()
  }
}
