import { promises as dns, type LookupAddress } from 'node:dns'
import { createConnection, isIP, type Socket } from 'node:net'
import { type ConnectionOptions as TlsOptions, connect as tlsConnect } from 'node:tls'
import { type Clock, messageOf } from '@tidelog/core'
import { ConnectionError } from './connection-error.ts'
import { type ProxyServer, throughProxy } from './proxy.ts'
import { type ReadTarget, sharedOnread } from './shared-read-buffer.ts'

/** Names and addresses, as the system knows them unless a test knows better. */
export interface Resolver {
  /** All addresses of a name, the best first. @throws what node:dns throws */
  addressesOf(host: string): Promise<readonly string[]>
  /** The name that an address goes by. @throws what node:dns throws */
  canonicalNameOf(address: string, port: number): Promise<string>
}

export const systemResolver: Resolver = {
  addressesOf: async (host) => (await dns.lookup(host, { all: true })).map(({ address }: LookupAddress) => address),
  canonicalNameOf: async (address, port) => (await dns.lookupService(address, port)).hostname,
}

/** Makes the TCP connection in place of node:net; TLS, where it is wanted, is put on top. */
export type SocketFactory = (address: { readonly host: string; readonly port: number }, signal: AbortSignal) => Socket | Promise<Socket>

export interface SocketOptions {
  readonly host: string
  readonly port: number
  readonly tls?: TlsOptions | undefined
  readonly proxy?: ProxyServer | undefined
  readonly socketFactory?: SocketFactory | undefined
  readonly resolver?: Resolver | undefined
}

interface Attempt extends SocketOptions {
  /** For all addresses together. */
  readonly timeoutMs: number
  readonly clock: Clock
  /** Takes what arrives; valid only during the call. */
  readonly onBytes: (bytes: Uint8Array) => void
  /** Where some of it is better read to; only without TLS and proxy. */
  readonly target: ReadTarget
  /** Ends the attempt and whatever it holds; its reason is thrown. */
  readonly signal: AbortSignal
}

/** A name may have any number of addresses; more are not tried at one go. */
const MAX_ADDRESSES = 16

/**
 * A connected socket, with TLS agreed where it is wanted, whose bytes go to `onBytes`.
 * @throws ConnectionError, or the signal's reason
 */
export async function openSocket(attempt: Attempt): Promise<Socket> {
  const { host, tls, signal, onBytes } = attempt
  const transport = await openTransport(attempt)
  if (tls === undefined) return transport
  try {
    // Node refuses an IP address as the name for SNI; the certificate is checked against `host` all the same.
    const socket = tlsConnect({ servername: isIP(host) === 0 ? host : '', ...tls, host, socket: transport })
    socket.on('error', ignore)
    await established(socket, 'secureConnect', signal, (error) => handshakeError(error, attempt))
    socket.on('data', onBytes)
    return socket
  } catch (error) {
    transport.destroy()
    throw error
  }
}

/** What TLS, or Kafka's protocol, is spoken over. */
async function openTransport(attempt: Attempt): Promise<Socket> {
  const { host, port, tls, proxy, socketFactory, signal, onBytes } = attempt
  if (proxy === undefined && socketFactory === undefined) return toHost(attempt, tls === undefined)
  let socket: Socket
  if (proxy === undefined) socket = await fromFactory(socketFactory!, attempt)
  else {
    const toProxy = { ...attempt, host: proxy.host, port: proxy.port }
    socket = await throughProxy(proxy, await toHost(toProxy, false, `the proxy ${proxy.host}:${proxy.port}`), { host, port }, signal)
  }
  if (tls === undefined) socket.on('data', onBytes)
  return socket
}

async function fromFactory(factory: SocketFactory, { host, port, signal }: Attempt): Promise<Socket> {
  const making = Promise.resolve().then(() => factory({ host, port }, signal))
  let socket: Socket
  try {
    socket = await orAborted(making, signal)
  } catch (error) {
    // It may still come, when nobody wants it any more.
    making.then((late) => late.on('error', ignore).destroy(), ignore)
    signal.throwIfAborted()
    throw new ConnectionError('refused', `socketFactory gave no connection to ${host}:${port}: ${messageOf(error)}`, { cause: error })
  }
  socket.on('error', ignore)
  if (socket.connecting) await established(socket, 'connect', signal, (error) => connectError(error, `${host}:${port}`))
  return socket
}

/** TCP to the first address of the host that answers; each gets its share of the time. */
async function toHost(attempt: Attempt, readsDirectly: boolean, what = `${attempt.host}:${attempt.port}`): Promise<Socket> {
  const { host, port, clock, signal, timeoutMs } = attempt
  const addresses = (await addressesOf(attempt, what)).slice(0, MAX_ADDRESSES)
  const endMs = clock.monotonic() + timeoutMs
  let failure: unknown
  for (const [index, address] of addresses.entries()) {
    const shareMs = (endMs - clock.monotonic()) / (addresses.length - index)
    try {
      return await toAddress(attempt, address, readsDirectly, index < addresses.length - 1 ? shareMs : undefined, what)
    } catch (error) {
      signal.throwIfAborted()
      failure = error
    }
  }
  throw failure ?? new ConnectionError('unresolved', `${host} has no address (port ${port})`)
}

async function addressesOf({ host, signal, resolver = systemResolver }: Attempt, what: string): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host]
  if (host === '') throw new ConnectionError('unresolved', `there is no name before the port of ${what}`)
  try {
    return await orAborted(resolver.addressesOf(host), signal)
  } catch (error) {
    signal.throwIfAborted()
    // EAI_AGAIN: the name server did not answer, which says nothing of the name.
    const isUnknown = codeOf(error) === 'ENOTFOUND' || codeOf(error) === 'ENODATA'
    throw new ConnectionError(isUnknown ? 'unresolved' : 'refused', `cannot resolve the name of ${what}: ${messageOf(error)}`, {
      cause: error,
    })
  }
}

async function toAddress(
  { port, clock, signal, onBytes, target }: Attempt,
  address: string,
  readsDirectly: boolean,
  limitMs: number | undefined,
  what: string,
): Promise<Socket> {
  const onread = readsDirectly ? sharedOnread(onBytes, target) : undefined
  const socket = createConnection({ host: address, port, noDelay: true, keepAlive: true, ...(onread === undefined ? {} : { onread }) })
  socket.on('error', ignore)
  const timer =
    limitMs === undefined
      ? undefined
      : clock.setTimer(limitMs, () => socket.destroy(new Error(`${address} did not answer within ${Math.round(limitMs)} ms`)))
  try {
    await established(socket, 'connect', signal, (error) => connectError(error, what))
  } finally {
    timer?.cancel()
  }
  if (onread !== undefined) socket.resume()
  else if (readsDirectly) socket.on('data', onBytes)
  return socket
}

/** Resolves at `event`; destroys the socket, and throws, when it fails before, or the signal aborts. */
export async function established(
  socket: Socket,
  event: 'connect' | 'secureConnect',
  signal: AbortSignal,
  describe: (error: Error) => ConnectionError,
): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      const onAbort = () => done(() => reject(signal.reason))
      const onEvent = () => done(resolve)
      const onError = (error: Error) => done(() => reject(describe(error)))
      const onClose = () => done(() => reject(describe(new Error('the connection was closed'))))
      const done = (then: () => void) => {
        signal.removeEventListener('abort', onAbort)
        socket.off(event, onEvent).off('error', onError).off('close', onClose)
        then()
      }
      socket.on(event, onEvent).on('error', onError).on('close', onClose)
      signal.addEventListener('abort', onAbort)
      if (signal.aborted) onAbort()
    })
  } catch (error) {
    socket.destroy()
    throw error
  }
}

function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort)
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
    if (signal.aborted) onAbort()
  })
}

function connectError(error: Error, what: string): ConnectionError {
  return new ConnectionError('refused', `cannot connect to ${what}: ${error.message}`, { cause: error })
}

/** The peer went away, as it also does when its process ends: that is no verdict on keys and certificates. */
const lostCodes: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ECONNABORTED'])

function handshakeError(error: Error, { host, port }: Attempt): ConnectionError {
  const code = codeOf(error)
  const isVerdict = code !== undefined && !lostCodes.has(code)
  if (isVerdict) return new ConnectionError('tls', `no TLS with ${host}:${port}: ${reasonOf(error)}`, { cause: error })
  const hint = 'a port that does not speak TLS does so, see securityProtocol'
  return new ConnectionError('refused', `${host}:${port} broke off the TLS handshake (${hint}): ${error.message}`, { cause: error })
}

/** TLS 1.3 lets the server refuse us when our side holds the connection for made: its alert comes as the first thing. */
export const isTlsAlert = (error: Error): boolean => codeOf(error)?.startsWith('ERR_SSL_') === true

/** OpenSSL's own words, where there are some, without the places in its source. */
export const reasonOf = (error: Error): string => (error as { readonly reason?: string }).reason ?? error.message

const codeOf = (error: unknown): string | undefined => (error as { readonly code?: string } | null)?.code

const ignore = (): void => {}
