import type { ConnectionOptions as OurOptions, SaslOptions } from '../../security/security.ts'
import { KafkaJSNonRetriableError, KafkaJSNotImplemented } from './errors.ts'
import type { ISocketFactory, KafkaConfig, SASLOptions as TheirOptions } from './types-client.ts'

export type SecurityOptions = Pick<OurOptions, 'tls' | 'socketFactory'> & { readonly sasl?: SaslOptions }

/** @throws KafkaJSNotImplemented for logins that cannot be had here, KafkaJSNonRetriableError for mechanisms that are none */
export function securityOptions({ ssl, sasl, socketFactory }: KafkaConfig): SecurityOptions {
  const login = sasl === undefined ? undefined : saslOf(sasl)
  // The user's sockets speak TLS by themselves.
  const isTls = ssl !== undefined && ssl !== false && socketFactory === undefined
  return {
    ...(isTls ? { tls: ssl } : {}),
    ...(login === undefined ? {} : { sasl: login }),
    ...(socketFactory === undefined ? {} : { socketFactory: socketsOf(socketFactory, ssl) }),
  }
}

function saslOf(options: NonNullable<KafkaConfig['sasl']>): SaslOptions {
  if ('authenticationProvider' in options) {
    throw new KafkaJSNotImplemented(
      `sasl: an authenticationProvider (${options.mechanism}) cannot be used here; a token for oauthbearer can come from anywhere`,
    )
  }
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
      if (typeof oauthBearerProvider !== 'function') throw new KafkaJSNonRetriableError('sasl: oauthBearerProvider must be a function')
      return { mechanism: 'OAUTHBEARER', token: async () => (await oauthBearerProvider()).value }
    }
    case 'aws':
      throw new KafkaJSNotImplemented('sasl: aws is not served; MSK takes oauthbearer with a token of aws-msk-iam-sasl-signer-js')
    default:
      throw new KafkaJSNonRetriableError(`sasl: there is no mechanism ${String(options.mechanism)}`)
  }
}

function passwordLogin(
  mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512',
  { username, password }: { readonly username: string; readonly password: string },
): SaslOptions {
  if (!username || !password) throw new KafkaJSNonRetriableError(`sasl: ${mechanism} needs a username and a password`)
  return { mechanism, username, password }
}

const nothing = (): void => {}

const socketsOf =
  (factory: ISocketFactory, ssl: KafkaConfig['ssl']): NonNullable<OurOptions['socketFactory']> =>
  ({ host, port }) =>
    factory({ host, port, ssl: (ssl === true ? {} : ssl || undefined)!, onConnect: nothing })
