import type { ConnectionOptions as TlsConnectionOptions } from 'node:tls'
import { messageOf, type Password } from '@tidelog/core'
import { type ProxyServer, parseProxy, type SocketFactory } from '@tidelog/net'
import type { CommonConfig } from '../config/client-config.ts'
import { ClientError, InvalidOptionError } from '../errors.ts'
import { type LoginModule, parseJaasConfig } from './sasl/jaas-config.ts'
import { OAuthBearerMechanism, type OAuthBearerToken } from './sasl/oauth-bearer.ts'
import { PlainMechanism } from './sasl/plain.ts'
import type { SaslMechanism } from './sasl/sasl-mechanism.ts'
import { ScramMechanism } from './sasl/scram.ts'
import type { SecurityContext } from './security-context.ts'
import { type TlsOptions, tlsSettings } from './tls-settings.ts'
import { tokenSource } from './token-source.ts'
import { unsecuredToken } from './unsecured-token.ts'

/** A login by name and password. */
export interface PasswordLogin {
  readonly mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512'
  readonly username: string
  /** A function is asked at every login, so that a password can change while the client runs. */
  readonly password: string | (() => string | Promise<string>)
}

/** A login by bearer token. */
export interface TokenLogin {
  readonly mechanism: 'OAUTHBEARER'
  /**
   * The token, or what gets one at every login, when the broker's session ends too; absent: `saslOauthbearerTokenEndpointUrl` gives tokens.
   */
  readonly token?: string | OAuthBearerToken | ((signal: AbortSignal) => string | OAuthBearerToken | Promise<string | OAuthBearerToken>)
}

/** A login. */
export type SaslOptions = PasswordLogin | TokenLogin

/** How connections are made, besides what Kafka's configurations say. */
export interface ConnectionOptions {
  /** TLS in the words of node:tls, such as `{ ca, cert, key }`; true: TLS that trusts what Node trusts. */
  readonly tls?: TlsOptions | boolean | undefined
  /** A mechanism of one's own is an object with `name` and `start`. */
  readonly sasl?: SaslOptions | SaslMechanism | undefined
  /** `socks5://user:password@host:1080` or `http://…`, `https://…` for CONNECT; it resolves the brokers' names. */
  readonly proxy?: string | undefined
  /** Makes TCP connections in place of node:net. */
  readonly socketFactory?: SocketFactory | undefined
}

/** What every connection of a client is made with. */
export interface Security {
  readonly tls: TlsConnectionOptions | undefined
  readonly sasl: SaslMechanism | undefined
  readonly proxy: ProxyServer | undefined
  readonly socketFactory: SocketFactory | undefined
}

/** @throws InvalidOptionError; it never shows a password. */
export function resolveSecurity(options: ConnectionOptions, context: SecurityContext): Security {
  const { config } = context
  const protocol = protocolOf(options, config)
  if (options.proxy !== undefined && options.socketFactory !== undefined)
    throw new InvalidOptionError('proxy and socketFactory do not go together')
  return {
    tls: protocol.endsWith('SSL') ? tlsSettings(config, options.tls) : undefined,
    sasl: protocol.startsWith('SASL') ? mechanismOf(options.sasl, context) : undefined,
    proxy: options.proxy === undefined ? undefined : proxyOf(options.proxy),
    socketFactory: options.socketFactory,
  }
}

/** `tls` and `sasl` say by being there what else `security.protocol` would have to say; they may say it twice, and not contradict it. */
function protocolOf({ tls, sasl }: ConnectionOptions, config: CommonConfig): CommonConfig['security.protocol'] {
  const named = config['security.protocol']
  const wantsTls = tls !== undefined && tls !== false
  const wantsSasl = sasl !== undefined
  if (named === 'PLAINTEXT') return wantsSasl ? (wantsTls ? 'SASL_SSL' : 'SASL_PLAINTEXT') : wantsTls ? 'SSL' : 'PLAINTEXT'
  if ((wantsTls && !named.endsWith('SSL')) || (tls === false && named.endsWith('SSL')))
    throw new InvalidOptionError(`tls does not go together with securityProtocol ${named}`)
  if (wantsSasl && !named.startsWith('SASL')) throw new InvalidOptionError(`sasl does not go together with securityProtocol ${named}`)
  return named
}

function proxyOf(text: string): ProxyServer {
  try {
    return parseProxy(text)
  } catch (error) {
    throw new InvalidOptionError(`proxy: ${messageOf(error)}`)
  }
}

function mechanismOf(sasl: SaslOptions | SaslMechanism | undefined, context: SecurityContext): SaslMechanism {
  if (sasl !== undefined && 'start' in sasl) return owned(sasl)
  return sasl === undefined ? mechanismOfProperties(context) : mechanismOfOptions(sasl, context)
}

/** The user's own: what it cannot do now it may do later, unless it says otherwise. */
const owned = (mechanism: SaslMechanism): SaslMechanism => ({
  name: mechanism.name,
  start: async (context) => {
    const exchange = await fromUser(() => mechanism.start(context))
    return {
      next: (challenge) => fromUser(() => exchange.next(challenge)),
      get isComplete() {
        return exchange.isComplete
      },
      fail: (reason) => exchange.fail?.(reason),
    }
  },
})

function mechanismOfOptions(sasl: SaslOptions, context: SecurityContext): SaslMechanism {
  if (sasl.mechanism === 'OAUTHBEARER') {
    const { token } = sasl
    if (token === undefined) return new OAuthBearerMechanism(tokenSource(context, new Map()))
    return new OAuthBearerMechanism(async (signal) => tokenOf(typeof token === 'function' ? await fromUser(() => token(signal)) : token))
  }
  const { username, password } = sasl
  if (typeof username !== 'string' || (typeof password !== 'string' && typeof password !== 'function'))
    throw new InvalidOptionError(`sasl: ${sasl.mechanism} needs username and password`)
  const getPassword = async () => (typeof password === 'function' ? await fromUser(password) : password)
  return passwordMechanism(sasl.mechanism, { username, password: getPassword, isDelegationToken: false }, context)
}

/** What the user's function cannot give now it may give later; what it says with an error of ours stands. */
async function fromUser<T>(get: () => T | Promise<T>): Promise<T> {
  try {
    return await get()
  } catch (error) {
    if (error instanceof ClientError) throw error
    const why = messageOf(error)
    throw new ClientError('LOGIN_UNAVAILABLE', `sasl: the function that gives the login failed: ${why}`, { retriable: true, cause: error })
  }
}

const tokenOf = (token: string | OAuthBearerToken): OAuthBearerToken => (typeof token === 'string' ? { value: token } : token)

function passwordMechanism(
  name: string,
  login: { readonly username: string; readonly password: () => Promise<string>; readonly isDelegationToken: boolean },
  { random }: SecurityContext,
): SaslMechanism {
  if (name === 'PLAIN') return new PlainMechanism(login.username, login.password)
  if (name === 'SCRAM-SHA-256' || name === 'SCRAM-SHA-512') return new ScramMechanism(name, login, random)
  throw unsupported(name)
}

const unsupported = (name: string): InvalidOptionError =>
  new InvalidOptionError(
    `saslMechanism: ${name} is not offered${name === 'GSSAPI' ? ' (it needs Kerberos, and is the default)' : ''}; ` +
      'there are PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and OAUTHBEARER',
  )

const modulesByMechanism: ReadonlyMap<string, string> = new Map([
  ['PLAIN', 'PlainLoginModule'],
  ['SCRAM-SHA-256', 'ScramLoginModule'],
  ['SCRAM-SHA-512', 'ScramLoginModule'],
  ['OAUTHBEARER', 'OAuthBearerLoginModule'],
])

/** As a Java client's properties have it: `sasl.mechanism` and `sasl.jaas.config`. */
function mechanismOfProperties(context: SecurityContext): SaslMechanism {
  const { config } = context
  const name = config['sasl.mechanism']
  const moduleName = modulesByMechanism.get(name)
  if (moduleName === undefined) throw unsupported(name)
  const { options } = loginModule(config['sasl.jaas.config'], name, moduleName)
  if (name === 'OAUTHBEARER') {
    const hasEndpoint = config['sasl.oauthbearer.token.endpoint.url'] !== null
    return new OAuthBearerMechanism(hasEndpoint ? tokenSource(context, options) : async () => unsecuredToken(options, context.clock))
  }
  const username = options.get('username')
  const password = options.get('password')
  if (username === undefined || password === undefined)
    throw new InvalidOptionError(`saslJaasConfig: ${moduleName} needs username and password`)
  return passwordMechanism(
    name,
    { username, password: async () => password, isDelegationToken: options.get('tokenauth') === 'true' },
    context,
  )
}

function loginModule(jaas: Password | null, mechanism: string, moduleName: string): LoginModule {
  if (jaas === null) {
    // What the token endpoint wants to know may all stand in configurations of their own.
    if (mechanism === 'OAUTHBEARER') return { name: moduleName, options: new Map() }
    throw new InvalidOptionError(`${mechanism} needs a login: give sasl, or saslJaasConfig as in Java`)
  }
  const module = parseJaasConfig(jaas.reveal())
  if (module.name !== moduleName)
    throw new InvalidOptionError(`saslJaasConfig: ${mechanism} goes with ${moduleName}, not with ${module.name}`)
  return module
}
