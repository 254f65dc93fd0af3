import type { SaslMechanism } from '../../security/sasl/sasl-mechanism.ts'
import type { ConnectionOptions as OurOptions, SaslOptions } from '../../security/security.ts'
import { mechanismOfProvider } from './authentication-provider.ts'
import { KafkaJSSASLAuthenticationError } from './errors.ts'
import type { ISocketFactory, KafkaConfig, Logger, SASLOptions as TheirOptions } from './types-client.ts'

export type SecurityOptions = Pick<OurOptions, 'tls' | 'socketFactory'> & { readonly sasl?: SaslOptions | SaslMechanism }

/** @throws KafkaJSSASLAuthenticationError for half a login, and for mechanisms that are none */
export function securityOptions({ ssl, sasl, socketFactory }: KafkaConfig, logger: Logger): SecurityOptions {
  const login = sasl === undefined ? undefined : saslOf(sasl, logger)
  // The user's sockets speak TLS by themselves.
  const isTls = ssl !== undefined && ssl !== false && socketFactory === undefined
  return {
    ...(isTls ? { tls: ssl } : {}),
    ...(login === undefined ? {} : { sasl: login }),
    ...(socketFactory === undefined ? {} : { socketFactory: socketsOf(socketFactory, ssl) }),
  }
}

function saslOf(options: NonNullable<KafkaConfig['sasl']>, logger: Logger): SaslOptions | SaslMechanism {
  if ('authenticationProvider' in options && options.authenticationProvider !== undefined) return mechanismOfProvider(options, logger)
  const mechanism = String(options.mechanism).toLowerCase() as TheirOptions['mechanism']
  const given = { ...options, mechanism } as TheirOptions
  switch (given.mechanism) {
    case 'plain':
      return passwordLogin('PLAIN', given)
    case 'scram-sha-256':
      return passwordLogin('SCRAM-SHA-256', given)
    case 'scram-sha-512':
      return passwordLogin('SCRAM-SHA-512', given)
    case 'oauthbearer': {
      const { oauthBearerProvider } = given
      if (typeof oauthBearerProvider !== 'function')
        throw new KafkaJSSASLAuthenticationError('sasl: oauthBearerProvider must be a function')
      return { mechanism: 'OAUTHBEARER', token: async () => (await oauthBearerProvider()).value }
    }
    case 'aws':
      return awsLogin(given)
    default:
      throw new KafkaJSSASLAuthenticationError(`sasl: there is no mechanism ${String(options.mechanism)}`)
  }
}

function passwordLogin(
  mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512',
  { username, password }: { readonly username: string; readonly password: string },
): SaslOptions {
  if (!username || !password) throw new KafkaJSSASLAuthenticationError(`sasl: ${mechanism} needs a username and a password`)
  return { mechanism, username, password }
}

const nothing = (): void => {}

/** What brokers with kafkajs's own AWS plug-in take: who one is and the keys in one message, by NULs. */
function awsLogin({ authorizationIdentity, accessKeyId, secretAccessKey, sessionToken = '' }: Extract<TheirOptions, { mechanism: 'aws' }>) {
  if (!authorizationIdentity || !accessKeyId || !secretAccessKey)
    throw new KafkaJSSASLAuthenticationError('sasl: AWS needs an authorizationIdentity, an accessKeyId and a secretAccessKey')
  const message = Buffer.from([authorizationIdentity, accessKeyId, secretAccessKey, sessionToken].join('\0'))
  return {
    name: 'AWS',
    start: async () => ({ isComplete: true, next: (challenge) => (challenge === undefined ? message : undefined) }),
  } satisfies SaslMechanism
}

const socketsOf =
  (factory: ISocketFactory, ssl: KafkaConfig['ssl']): NonNullable<OurOptions['socketFactory']> =>
  ({ host, port }) =>
    factory({ host, port, ssl: (ssl === true ? {} : ssl || undefined)!, onConnect: nothing })
