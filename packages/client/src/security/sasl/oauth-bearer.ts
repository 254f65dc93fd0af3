import { AuthenticationError } from '../../errors.ts'
import type { SaslContext, SaslExchange, SaslMechanism } from './sasl-mechanism.ts'

/** A bearer token and what goes with it. */
export interface OAuthBearerToken {
  /** The token as the broker is to see it, such as a JWT. */
  readonly value: string
  /** SASL extensions. KIP-342. */
  readonly extensions?: Readonly<Record<string, string>> | undefined
}

/** Separates what the message holds; a token or an extension that holds it would say something else. */
const SEPARATOR = '\x01'
const REFUSED = Buffer.from(SEPARATOR)
const extensionName = /^[A-Za-z]+$/
const extensionValue = /^[\x21-\x7e \t\r\n]+$/
const MAX_SHOWN = 500

/** Shows a token. RFC 7628, KIP-255. */
export class OAuthBearerMechanism implements SaslMechanism {
  readonly name = 'OAUTHBEARER'
  readonly #token: (signal: AbortSignal) => Promise<OAuthBearerToken>

  constructor(token: (signal: AbortSignal) => Promise<OAuthBearerToken>) {
    this.#token = token
  }

  async start({ signal }: SaslContext): Promise<SaslExchange> {
    const message = messageOf(await this.#token(signal))
    let refusal: string | undefined
    return {
      isComplete: true,
      next: (challenge) => {
        if (challenge === undefined) return message
        // A refusal comes as a challenge of JSON; only after our answer to that does the broker say so in an error code.
        if (refusal !== undefined) throw new AuthenticationError('SASL_AUTHENTICATION_FAILED', `the broker refuses the token: ${refusal}`)
        if (challenge.length === 0) return undefined
        refusal = challenge.toString().slice(0, MAX_SHOWN)
        return REFUSED
      },
    }
  }
}

function messageOf({ value, extensions = {} }: OAuthBearerToken): Buffer {
  if (!/^[\x21-\x7e]+$/.test(value))
    throw new AuthenticationError('SASL_AUTHENTICATION_FAILED', 'the token is empty or has characters that no token has')
  const pairs = Object.entries(extensions).map(([name, text]) => {
    // `auth` is the token's own.
    if (!extensionName.test(name) || name === 'auth' || !extensionValue.test(text))
      throw new AuthenticationError('SASL_AUTHENTICATION_FAILED', `the SASL extension ${JSON.stringify(name)} cannot be sent`)
    return `${name}=${text}${SEPARATOR}`
  })
  return Buffer.from(`n,,${SEPARATOR}auth=Bearer ${value}${SEPARATOR}${pairs.join('')}${SEPARATOR}`)
}
