import type { Clock } from '@tidelog/core'
import { InvalidOptionError } from '../errors.ts'
import type { OAuthBearerToken } from './sasl/oauth-bearer.ts'

const DEFAULT_LIFETIME_S = 3600
const reserved: ReadonlySet<string> = new Set(['iat', 'exp'])

/**
 * A token that nobody has signed, made of `unsecuredLogin…` options of OAuthBearerLoginModule: what Kafka's own login does without a token
 * endpoint, for development. KIP-255.
 * @throws InvalidOptionError
 */
export function unsecuredToken(options: ReadonlyMap<string, string>, clock: Clock): OAuthBearerToken {
  const nowS = clock.now() / 1000
  const lifetimeS = numberOf(options, 'unsecuredLoginLifetimeSeconds') ?? DEFAULT_LIFETIME_S
  const claims: Record<string, unknown> = { iat: nowS, exp: nowS + lifetimeS }
  const extensions: Record<string, string> = {}
  for (const [option, text] of options) {
    const [, kind, name] = /^unsecuredLogin(StringClaim|NumberClaim|ListClaim|Extension)_(.+)$/.exec(option) ?? []
    if (kind === undefined || name === undefined) continue
    if (kind === 'Extension') extensions[name] = text
    else if (reserved.has(name)) throw new InvalidOptionError(`saslJaasConfig: ${option}: ${name} cannot be given`)
    // The first character of a list separates its items.
    else
      claims[name] =
        kind === 'StringClaim' ? text : kind === 'NumberClaim' ? numberOf(options, option) : text.slice(1).split(text.slice(0, 1))
  }
  if (claims[options.get('unsecuredLoginPrincipalClaimName') ?? 'sub'] === undefined) {
    throw new InvalidOptionError(
      'OAUTHBEARER needs a token: give sasl.token, saslOauthbearerTokenEndpointUrl, or unsecuredLoginStringClaim_sub',
    )
  }
  const encoded = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')
  return { value: `${encoded({ alg: 'none' })}.${encoded(claims)}.`, extensions }
}

function numberOf(options: ReadonlyMap<string, string>, name: string): number | undefined {
  const text = options.get(name)
  if (text === undefined) return undefined
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidOptionError(`saslJaasConfig: ${name} is no number`)
  return value
}
