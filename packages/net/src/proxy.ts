import { request as httpRequest } from 'node:http'
import { isIP, type Socket } from 'node:net'
import { connect as tlsConnect } from 'node:tls'
import { messageOf } from '@tidelog/core'
import { ConnectionError } from './connection-error.ts'

/** What stands between us and the brokers and forwards bytes. It resolves the brokers' names. */
export interface ProxyServer {
  /** SOCKS 5 (RFC 1928, RFC 1929), or HTTP's CONNECT in the clear or over TLS. */
  readonly kind: 'socks5' | 'http' | 'https'
  readonly host: string
  readonly port: number
  readonly username?: string | undefined
  readonly password?: string | undefined
}

const defaultPorts = { socks5: 1080, http: 80, https: 443 } as const

/** Reads `socks5://user:password@host:port`, `http://…` or `https://…`. @throws Error that does not repeat the password */
export function parseProxy(text: string): ProxyServer {
  let url: URL
  try {
    url = new URL(text)
  } catch {
    throw new Error('it is no URL such as socks5://host:1080 or http://user:password@host:3128')
  }
  // curl's socks5h says that the proxy resolves names; here it always does.
  const kind = url.protocol === 'socks5h:' ? 'socks5' : url.protocol.slice(0, -1)
  if (kind !== 'socks5' && kind !== 'http' && kind !== 'https') {
    throw new Error(`${url.protocol}// is none of socks5://, http:// and https://`)
  }
  if (url.hostname === '') throw new Error('it names no host')
  return {
    kind,
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? defaultPorts[kind] : Number(url.port),
    username: url.username === '' ? undefined : decodeURIComponent(url.username),
    password: url.password === '' ? undefined : decodeURIComponent(url.password),
  }
}

interface Destination {
  readonly host: string
  readonly port: number
}

/**
 * Has the proxy at the other end of `socket` connect it to `destination`.
 * @throws ConnectionError `proxy` when it does not let us, `refused` when it cannot reach the destination; the signal's reason
 */
export async function throughProxy(proxy: ProxyServer, socket: Socket, destination: Destination, signal: AbortSignal): Promise<Socket> {
  const onAbort = () => socket.destroy()
  signal.addEventListener('abort', onAbort)
  try {
    return await (proxy.kind === 'socks5' ? bySocks(proxy, socket, destination) : byConnect(proxy, socket, destination))
  } catch (error) {
    socket.destroy()
    signal.throwIfAborted()
    throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

const nameOf = ({ host, port }: Destination): string => (isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`)

async function bySocks(proxy: ProxyServer, socket: Socket, destination: Destination): Promise<Socket> {
  const { SocksClient } = await import('socks')
  const { username, password } = proxy
  try {
    await SocksClient.createConnection({
      proxy: {
        host: proxy.host,
        port: proxy.port,
        type: 5,
        ...(username === undefined ? {} : { userId: username, password: password ?? '' }),
      },
      command: 'connect',
      destination: { ...destination },
      existing_socket: socket,
    })
    return socket
  } catch (error) {
    const message = messageOf(error)
    const isRefusal = /authentication|NotAllowed/i.test(message)
    throw new ConnectionError(
      isRefusal ? 'proxy' : 'refused',
      `the proxy ${nameOf(proxy)} gave no connection to ${nameOf(destination)}: ${message}`,
    )
  }
}

async function byConnect(proxy: ProxyServer, socket: Socket, destination: Destination): Promise<Socket> {
  const carrier = proxy.kind === 'https' ? await secured(proxy, socket) : socket
  const { username, password } = proxy
  const credentials = Buffer.from(`${username}:${password ?? ''}`).toString('base64')
  return new Promise<Socket>((resolve, reject) => {
    const fail = (reason: 'proxy' | 'refused', why: string) =>
      reject(new ConnectionError(reason, `the proxy ${nameOf(proxy)} gave no connection to ${nameOf(destination)}: ${why}`))
    const request = httpRequest({
      method: 'CONNECT',
      path: nameOf(destination),
      createConnection: () => carrier,
      headers: {
        host: nameOf(destination),
        ...(username === undefined ? {} : { 'proxy-authorization': `Basic ${credentials}` }),
      },
    })
    request.once('connect', ({ statusCode = 0, statusMessage = '' }, tunnel: Socket, head: Buffer) => {
      if (statusCode < 200 || statusCode > 299) {
        // 401, 403, 407: asking again does not help.
        fail([401, 403, 407].includes(statusCode) ? 'proxy' : 'refused', `${statusCode} ${statusMessage}`)
        return
      }
      if (head.length > 0) tunnel.unshift(head)
      resolve(tunnel)
    })
    request.once('response', ({ statusCode = 0 }) => fail('refused', `it answered ${statusCode} without a tunnel`))
    request.once('error', (error) => fail('refused', error.message))
    request.once('close', () => fail('refused', 'it closed the connection'))
    request.end()
  })
}

function secured(proxy: ProxyServer, socket: Socket): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const secure = tlsConnect({ socket, host: proxy.host, servername: isIP(proxy.host) === 0 ? proxy.host : '' })
    const onError = (error: Error) =>
      reject(new ConnectionError('tls', `no TLS with the proxy ${nameOf(proxy)}: ${error.message}`, { cause: error }))
    secure.on('error', onError)
    secure.once('secureConnect', () => resolve(secure))
    secure.once('close', () => reject(new ConnectionError('refused', `the proxy ${nameOf(proxy)} closed the connection`)))
  })
}
