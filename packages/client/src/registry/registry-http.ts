import { Agent as HttpAgent, request as requestHttp } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import type { Clock, Random } from '@tidelog/core'
import { ClosedError, InvalidOptionError, SchemaRegistryError } from '../errors.ts'
import { readText } from '../http-text.ts'
import type { TlsOptions } from '../security/tls-settings.ts'
import { backoffMs, before, Deadline, sleep, until } from '../wait.ts'

/** Basic authentication. */
export interface BasicAuth {
  readonly username: string
  readonly password: string
}
/** A token, or what gives the current one: it is asked before each attempt. */
export interface BearerAuth {
  readonly token: string | (() => string | Promise<string>)
}

/** How to reach a registry. */
export interface RegistryHttpOptions {
  /** One URL, or several of one registry: the next is tried when one cannot be reached or fails. User and password in a URL are basic authentication. */
  readonly url: string | readonly string[]
  /** In place of user and password in a URL. */
  readonly auth?: BasicAuth | BearerAuth | undefined
  /** For https, in the words of node:tls: `{ ca, cert, key }`. */
  readonly tls?: TlsOptions | undefined
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Limit of one call with all its attempts; 30,000 when absent. */
  readonly timeoutMs?: number | undefined
  /** Limit of one attempt; 10,000 when absent. */
  readonly requestTimeoutMs?: number | undefined
  /** Rounds over all URLs after the first; 3 when absent. */
  readonly retries?: number | undefined
  /** Wait before the second round, doubled before each further one; 100 when absent. */
  readonly retryBackoffMs?: number | undefined
  /** Longest wait between rounds; 1,000 when absent. */
  readonly retryBackoffMaxMs?: number | undefined
}

export interface RegistryRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** Behind the base URL, with its query, encoded. */
  readonly path: string
  readonly body?: unknown
  readonly signal?: AbortSignal | undefined
}

const CONTENT_TYPE = 'application/vnd.schemaregistry.v1+json'
/** An answer must not hold more than this. */
const MAX_RESPONSE_BYTES = 16 * 1024 * 1024
const retriableStatuses: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504])
const MAX_QUOTED_LENGTH = 200

interface Endpoint {
  readonly base: URL
  readonly credentials: string | undefined
}

/** JSON requests to one of a registry's URLs, attempted again while that may help. */
export class RegistryHttp {
  readonly #endpoints: readonly Endpoint[]
  readonly #options: RegistryHttpOptions
  readonly #clock: Clock
  readonly #random: Random
  readonly #closing = new AbortController()
  readonly #httpAgent = new HttpAgent({ keepAlive: true, maxSockets: 8 })
  readonly #httpsAgent: HttpsAgent
  /** Of the URL that answered last. */
  #current = 0

  /** @throws InvalidOptionError */
  constructor(options: RegistryHttpOptions, { clock, random }: { readonly clock: Clock; readonly random: Random }) {
    const urls = typeof options.url === 'string' ? options.url.split(',') : (options.url ?? [])
    if (urls.length === 0) throw new InvalidOptionError('url is missing: where the schema registry is')
    this.#endpoints = urls.map((url) => endpointOf(url.trim()))
    for (const name of ['timeoutMs', 'requestTimeoutMs', 'retries', 'retryBackoffMs', 'retryBackoffMaxMs'] as const) {
      const value = options[name]
      if (value !== undefined && !(value >= 0)) throw new InvalidOptionError(`${name}: ${value} is not a number of 0 or more`)
    }
    this.#options = options
    this.#clock = clock
    this.#random = random
    this.#httpsAgent = new HttpsAgent({ ...options.tls, keepAlive: true, maxSockets: 8 })
  }

  /** @returns The answer's JSON. @throws SchemaRegistryError, TimeoutError, ClosedError; the signal's reason */
  async call(request: RegistryRequest): Promise<unknown> {
    const { timeoutMs = 30_000 } = this.#options
    if (this.#closing.signal.aborted) throw new ClosedError('schema registry')
    request.signal?.throwIfAborted()
    const stop = new AbortController()
    const attempts = this.#attempts(request, stop.signal)
    const bounded = before(attempts, this.#clock, new Deadline(this.#clock, timeoutMs), `${request.method} ${request.path}`)
    try {
      return await until(bounded, request.signal, this.#closing.signal)
    } finally {
      stop.abort()
      attempts.catch(() => {})
    }
  }

  close(): void {
    this.#closing.abort(new ClosedError('schema registry'))
    this.#httpAgent.destroy()
    this.#httpsAgent.destroy()
  }

  async #attempts(request: RegistryRequest, stop: AbortSignal): Promise<unknown> {
    const { retries = 3, retryBackoffMs = 100, retryBackoffMaxMs = 1000 } = this.#options
    for (let round = 0; ; round++) {
      let failure: unknown
      for (let tried = 0; tried < this.#endpoints.length; tried++) {
        try {
          return await this.#attempt(this.#endpoints[this.#current]!, request, stop)
        } catch (error) {
          if (stop.aborted || !(error instanceof SchemaRegistryError && error.retriable)) throw error
          failure = error
          this.#current = (this.#current + 1) % this.#endpoints.length
        }
      }
      if (round >= retries) throw failure
      await sleep(this.#clock, backoffMs(this.#random, round, retryBackoffMs, retryBackoffMaxMs), stop)
    }
  }

  async #attempt({ base, credentials }: Endpoint, { method, path, body }: RegistryRequest, stop: AbortSignal): Promise<unknown> {
    const { requestTimeoutMs = 10_000, headers, auth } = this.#options
    const authorization = auth === undefined ? credentials : await authorizationOf(auth)
    const text = body === undefined ? undefined : Buffer.from(JSON.stringify(body), 'utf8')
    const url = new URL(`${base.pathname.replace(/\/$/, '')}${path}`, base)
    const what = `${method} ${url.origin}${url.pathname}`
    const secure = url.protocol === 'https:'
    const response = await new Promise<{ status: number; text: string }>((resolve, reject) => {
      const outgoing = (secure ? requestHttps : requestHttp)(url, {
        method,
        agent: secure ? this.#httpsAgent : this.#httpAgent,
        signal: stop,
        headers: {
          accept: `${CONTENT_TYPE}, application/json`,
          ...(text === undefined ? {} : { 'content-type': CONTENT_TYPE, 'content-length': String(text.length) }),
          ...headers,
          ...(authorization === undefined ? {} : { authorization }),
        },
      })
      const timer = this.#clock.setTimer(requestTimeoutMs, () => outgoing.destroy(new Error(`no answer within ${requestTimeoutMs} ms`)))
      const fail = (error: Error) => {
        timer.cancel()
        reject(new SchemaRegistryError(`${what}: ${error.message}`, { retriable: !isAboutTrust(error), cause: error }))
      }
      outgoing.on('error', fail)
      outgoing.on('response', (incoming) => {
        readText(incoming, MAX_RESPONSE_BYTES).then((received) => {
          timer.cancel()
          resolve({ status: incoming.statusCode ?? 0, text: received })
        }, fail)
      })
      outgoing.end(text)
    })
    return answerOf(what, response)
  }
}

/** The registry is not who it should be, or does not know this client: a second look changes nothing. */
const isAboutTrust = (error: NodeJS.ErrnoException): boolean =>
  /^(?:CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_|ERR_TLS_|ERR_SSL_)/.test(error.code ?? '')

function answerOf(what: string, { status, text }: { readonly status: number; readonly text: string }): unknown {
  let answer: unknown
  try {
    answer = JSON.parse(text)
  } catch (cause) {
    if (status >= 200 && status < 300) throw new SchemaRegistryError(`${what}: the answer is not JSON`, { status, cause })
  }
  if (status >= 200 && status < 300) return answer
  const { error_code: errorCode, message } = (answer ?? {}) as { readonly error_code?: unknown; readonly message?: unknown }
  const words = typeof message === 'string' ? message : text.slice(0, MAX_QUOTED_LENGTH)
  throw new SchemaRegistryError(`${what}: status ${status}${words === '' ? '' : `, ${words}`}`, {
    status,
    errorCode: typeof errorCode === 'number' ? errorCode : undefined,
    retriable: retriableStatuses.has(status),
  })
}

function endpointOf(text: string): Endpoint {
  let base: URL
  try {
    base = new URL(text)
  } catch {
    throw new InvalidOptionError(`url: ${text} is not a URL`)
  }
  if (base.protocol !== 'http:' && base.protocol !== 'https:') throw new InvalidOptionError(`url: ${text} is neither http nor https`)
  const credentials =
    base.username === '' ? undefined : basic({ username: decodeURIComponent(base.username), password: decodeURIComponent(base.password) })
  base.username = ''
  base.password = ''
  return { base, credentials }
}

const basic = ({ username, password }: BasicAuth): string => `Basic ${Buffer.from(`${username}:${password}`, 'utf8').toString('base64')}`

async function authorizationOf(auth: BasicAuth | BearerAuth): Promise<string> {
  if ('username' in auth) return basic(auth)
  return `Bearer ${typeof auth.token === 'string' ? auth.token : await auth.token()}`
}
