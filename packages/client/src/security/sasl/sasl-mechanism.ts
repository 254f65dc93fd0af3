import type { ClientError } from '../../errors.ts'

/** The client's side of one exchange, from its first message on. */
export interface SaslExchange {
  /**
   * The next message for the broker, or undefined when nothing is left to say.
   * @param challenge What the broker said; undefined before the first message.
   * @throws AuthenticationError when the broker has not proved itself, or talks nonsense
   */
  next(challenge: Buffer | undefined): Uint8Array | undefined | Promise<Uint8Array | undefined>
  /** Whether the exchange may end here: a mechanism in which the broker proves itself is not done before it has. */
  readonly isComplete: boolean
  /**
   * Hears that the login has failed, by the broker's answer, the connection or the exchange itself; nothing is asked of it afterwards.
   * @param reason What is going to be thrown
   * @throws ClientError that is to be thrown in its place
   */
  fail?(reason: ClientError): void | Promise<void>
}

/** Where a login is made. */
export interface SaslContext {
  /** The broker. */
  readonly host: string
  readonly port: number
  /** Aborts when the client closes. */
  readonly signal: AbortSignal
}

/** A way to say who one is. One is shared by all connections of a client; each login is an exchange of its own. */
export interface SaslMechanism {
  /** As brokers list it in `sasl.enabled.mechanisms`. */
  readonly name: string
  /** @throws AuthenticationError; what the user's own function throws */
  start(context: SaslContext): Promise<SaslExchange>
}
