import { AuthenticationError } from '../../errors.ts'
import type { SaslExchange, SaslMechanism } from './sasl-mechanism.ts'

/** Name and password as they are. RFC 4616; over anything but TLS everyone on the way can read them. */
export class PlainMechanism implements SaslMechanism {
  readonly name = 'PLAIN'
  readonly #username: string
  readonly #password: () => Promise<string>

  constructor(username: string, password: () => Promise<string>) {
    this.#username = username
    this.#password = password
  }

  async start(): Promise<SaslExchange> {
    const message = Buffer.from(`\0${this.#username}\0${await this.#password()}`)
    return {
      isComplete: true,
      next: (challenge) => {
        if (challenge === undefined) return message
        if (challenge.length > 0) throw new AuthenticationError('ILLEGAL_SASL_STATE', 'the broker asks more than PLAIN has an answer to')
        return undefined
      },
    }
  }
}
