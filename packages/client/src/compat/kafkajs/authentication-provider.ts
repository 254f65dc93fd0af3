import { AuthenticationError, type ClientError } from '../../errors.ts'
import type { SaslExchange, SaslMechanism } from '../../security/sasl/sasl-mechanism.ts'
import { KafkaJSNonRetriableError } from './errors.ts'
import { errorNamed, kafkaJSErrorOf, ProviderError } from './protocol-errors.ts'
import type { AuthenticationProviderArgs, Logger, Mechanism, SaslAuthenticateArgs } from './types-client.ts'

/** A message of the provider's, on its way to the broker, and what becomes of it. */
interface Said {
  readonly message: Buffer
  answered(answer: Buffer): void
  failed(error: Error): void
}

const nothing = (): void => {}

/** In kafkajs the bytes of a provider, and those that it gets, begin with their length as they do in requests. */
const LENGTH_BYTES = 4

/** @throws KafkaJSNonRetriableError when there is no function, or no name */
export function mechanismOfProvider({ mechanism, authenticationProvider }: Mechanism, logger: Logger): SaslMechanism {
  if (typeof mechanism !== 'string' || typeof authenticationProvider !== 'function')
    throw new KafkaJSNonRetriableError('sasl: an authenticationProvider is a function, beside the name of its mechanism')
  const name = mechanism.toUpperCase()
  return {
    name,
    start: async ({ host, port }) =>
      new ProviderExchange((saslAuthenticate) =>
        authenticationProvider({ host, port, logger: logger.namespace(`SaslAuthenticator-${name}`), saslAuthenticate }).authenticate(),
      ),
  }
}

/**
 * kafkajs's provider sends messages and waits for the answers; our client asks for the next message with the answer to the last. So the
 * provider runs by itself, from the first question on, and each side waits for the other here.
 */
class ProviderExchange implements SaslExchange {
  readonly isComplete = true
  readonly #authenticate: (saslAuthenticate: AuthenticationProviderArgs['saslAuthenticate']) => Promise<void>
  /** Not handed over yet; more than one when the provider does not wait for answers. */
  readonly #said: Said[] = []
  /** With the broker. */
  #asked: Said | undefined
  /** Ends the wait for a message. */
  #hear: () => void = nothing
  #provider: Promise<void> | undefined
  #isDone = false
  /** What is told to a provider that goes on behind the end. */
  #end: Error | undefined

  constructor(authenticate: (saslAuthenticate: AuthenticationProviderArgs['saslAuthenticate']) => Promise<void>) {
    this.#authenticate = authenticate
  }

  /** @throws ProviderError */
  async next(challenge: Buffer | undefined): Promise<Buffer | undefined> {
    if (challenge !== undefined) this.#asked?.answered(challenge)
    this.#asked = undefined
    if (this.#provider === undefined) {
      this.#provider = this.#run()
      // Whoever asks next hears of it.
      this.#provider.catch(nothing)
    }
    const heard = new Promise<void>((resolve) => {
      this.#hear = resolve
    })
    if (this.#said.length === 0 && !this.#isDone) await Promise.race([heard, this.#provider])
    this.#asked = this.#said.shift()
    if (this.#asked === undefined) {
      this.#end = new KafkaJSNonRetriableError('sasl: the login is over')
      await this.#provider
    }
    return this.#asked?.message
  }

  /**
   * The provider hears of it as kafkajs would have told it.
   * @throws ProviderError with what it makes of that
   */
  async fail(reason: ClientError): Promise<void> {
    const isRefused = reason instanceof AuthenticationError
    const isWrongLogin = isRefused && reason.code === 'SASL_AUTHENTICATION_FAILED'
    const told = isWrongLogin ? errorNamed('SASL_AUTHENTICATION_FAILED', reason.message) : kafkaJSErrorOf(reason)
    this.#end ??= told
    const waiting = [...(this.#asked === undefined ? [] : [this.#asked]), ...this.#said.splice(0)]
    for (const { failed } of waiting) failed(told)
    // A provider that is busy with other things is not waited for.
    if (waiting.length === 0) return
    try {
      await this.#provider
    } catch (error) {
      const { cause, retriable } = error as ProviderError
      if (isRefused) throw new ProviderError(cause, { retriable: (cause as { readonly retriable?: unknown }).retriable === true })
      // A connection that broke is made again, also where the provider takes it for a login that failed.
      if (cause !== told) throw new ProviderError(cause, { retriable: retriable || reason.retriable })
    }
  }

  async #run(): Promise<void> {
    try {
      await this.#authenticate((args) => this.#saslAuthenticate(args))
    } catch (error) {
      const cause = error instanceof Error ? error : new KafkaJSNonRetriableError(String(error))
      throw new ProviderError(cause, { retriable: isWorthARetry(cause) })
    } finally {
      this.#isDone = true
    }
  }

  async #saslAuthenticate<T>({ request, response }: SaslAuthenticateArgs<T>): Promise<T | undefined> {
    const message = unframed(await request.encode())
    const answer = await new Promise<Buffer>((answered, failed) => {
      if (this.#end !== undefined) return failed(this.#end)
      this.#said.push({ message, answered, failed })
      this.#hear()
    })
    return response?.parse(await response.decode(framed(answer)))
  }
}

const defects: ReadonlySet<string> = new Set(['RangeError', 'ReferenceError', 'SyntaxError', 'TypeError'])

/** As kafkajs's retries have it. */
const isWorthARetry = (error: Error): boolean => (error as { readonly retriable?: unknown }).retriable !== false && !defects.has(error.name)

/** @throws KafkaJSNonRetriableError unless the bytes are a length and so many bytes */
function unframed(bytes: Uint8Array): Buffer {
  const buffer = bytes instanceof Uint8Array ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) : Buffer.alloc(0)
  if (buffer.length < LENGTH_BYTES || buffer.readInt32BE(0) !== buffer.length - LENGTH_BYTES)
    throw new KafkaJSNonRetriableError('sasl: what request.encode() gives has to be a length, as int32, and so many bytes')
  return buffer.subarray(LENGTH_BYTES)
}

function framed(bytes: Buffer): Buffer {
  const length = Buffer.alloc(LENGTH_BYTES)
  length.writeInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}
