import type { Clock } from '@tidelog/core'
import type { FramedConnection } from '@tidelog/net'
import { errorName, errorTable, SaslAuthenticate, SaslHandshake } from '@tidelog/protocol'
import { asClientError } from '../../client-error.ts'
import { AuthenticationError, BrokerError, ClientError } from '../../errors.ts'
import { before, Deadline, until } from '../../wait.ts'
import type { SaslExchange, SaslMechanism } from './sasl-mechanism.ts'

export interface SaslPeer {
  readonly host: string
  readonly port: number
  readonly send: FramedConnection['send']
  /** Newest version that both sides have. @throws UnsupportedVersionError */
  readonly versionOf: (api: typeof SaslHandshake | typeof SaslAuthenticate) => number
  readonly clock: Clock
  /** Bound of what the mechanism does by itself, such as asking the user's function for a token. */
  readonly timeoutMs: number
  /** Aborts when the client closes. */
  readonly signal: AbortSignal
}

/** SCRAM takes two; a broker that goes on asking is none. */
const MAX_ROUNDS = 8

/**
 * Logs in on a connection, for the first time or again (KIP-368). Source: KIP-43, KIP-152.
 * @returns How long the login holds, in ms; 0: as long as the connection.
 * @throws AuthenticationError when the broker refuses, or does not prove itself; ConnectionError; TimeoutError; UnsupportedVersionError
 */
export async function authenticate(peer: SaslPeer, mechanism: SaslMechanism): Promise<number> {
  const { host, port, send, versionOf, clock, timeoutMs, signal } = peer
  const name = `the broker at ${host}:${port}`
  const bounded: Bounded = (promise) =>
    before(until(promise, signal), clock, new Deadline(clock, timeoutMs), `what ${mechanism.name} needs for the login at ${name}`)
  const handshakeVersion = versionOf(SaslHandshake)
  // Version 0 would be followed by bare bytes, without the frames of SaslAuthenticate.
  if (handshakeVersion < 1) throw new AuthenticationError('UNSUPPORTED_VERSION', `${name} serves SASL only as Kafka before 1.0 did`)
  const exchange = await bounded(mechanism.start({ host, port, signal }))
  try {
    const { errorCode, mechanisms } = await send(SaslHandshake, handshakeVersion, { mechanism: mechanism.name })
    checkHandshake(name, mechanism.name, errorCode, mechanisms)
    return await converse(peer, mechanism.name, exchange, bounded)
  } catch (error) {
    const reason = asClientError(error)
    throw await bounded(told(exchange, reason)).catch(() => reason)
  }
}

/** What is to be thrown when a login has failed by `reason`. */
async function told(exchange: SaslExchange, reason: ClientError): Promise<ClientError> {
  try {
    await exchange.fail?.(reason)
    return reason
  } catch (error) {
    return error instanceof ClientError ? error : reason
  }
}

type Bounded = <T>(promise: Promise<T>) => Promise<T>

/** @returns How long the login holds, in ms */
async function converse(
  { host, port, send, versionOf }: SaslPeer,
  mechanism: string,
  exchange: SaslExchange,
  bounded: Bounded,
): Promise<number> {
  const name = `the broker at ${host}:${port}`
  const version = versionOf(SaslAuthenticate)
  let challenge: Buffer | undefined
  let lifetimeMs = 0
  for (let round = 0; ; round++) {
    const message = await bounded(Promise.resolve(exchange.next(challenge)))
    if (message === undefined) break
    if (round >= MAX_ROUNDS)
      throw new AuthenticationError('ILLEGAL_SASL_STATE', `${name} does not come to an end of the ${mechanism} login`)
    const answer = await send(SaslAuthenticate, version, { authBytes: Buffer.from(message) })
    if (answer.errorCode === errorTable.SASL_AUTHENTICATION_FAILED.code || answer.errorCode === errorTable.ILLEGAL_SASL_STATE.code)
      throw new AuthenticationError(errorName(answer.errorCode), `${name} refuses the ${mechanism} login: ${answer.errorMessage ?? ''}`)
    if (answer.errorCode !== 0) throw new BrokerError(answer.errorCode, `login at ${name}`, answer.errorMessage)
    challenge = answer.authBytes
    lifetimeMs = answer.sessionLifetimeMs
  }
  if (!exchange.isComplete) throw new AuthenticationError('SASL_AUTHENTICATION_FAILED', `${name} ended the login without proving itself`)
  return Math.max(0, lifetimeMs)
}

function checkHandshake(name: string, mechanism: string, errorCode: number, offered: readonly string[]): void {
  if (errorCode === 0) return
  if (errorCode === errorTable.UNSUPPORTED_SASL_MECHANISM.code) {
    const others = offered.length === 0 ? 'nothing' : offered.slice(0, 20).join(', ')
    throw new AuthenticationError('UNSUPPORTED_SASL_MECHANISM', `${name} does not offer ${mechanism}, but ${others}`)
  }
  if (errorCode === errorTable.ILLEGAL_SASL_STATE.code) {
    throw new AuthenticationError('ILLEGAL_SASL_STATE', `${name} takes no login: its listener is without SASL, see securityProtocol`)
  }
  throw new BrokerError(errorCode, `login at ${name}`)
}
