import { createHash, createHmac, pbkdf2, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import type { Random } from '@tidelog/core'
import { AuthenticationError } from '../../errors.ts'
import type { SaslExchange, SaslMechanism } from './sasl-mechanism.ts'

export type ScramName = 'SCRAM-SHA-256' | 'SCRAM-SHA-512'

export interface ScramLogin {
  readonly username: string
  readonly password: () => Promise<string>
  /** The login is a delegation token's id and HMAC. KIP-48. */
  readonly isDelegationToken: boolean
}

const hashes = { 'SCRAM-SHA-256': 'sha256', 'SCRAM-SHA-512': 'sha512' } as const

/** Fewer make a stolen verifier cheap to guess from (Kafka asks for no less); more would keep this client busy at a stranger's wish. */
const MIN_ITERATIONS = 4096
const MAX_ITERATIONS = 1_000_000
const MAX_MESSAGE_BYTES = 16 * 1024
const NONCE_BYTES = 24

const deriveKey = promisify(pbkdf2)

/**
 * A password that never travels, checked in both directions. RFC 5802, RFC 7677. The password is hashed as the UTF-8 that it is, without
 * SASLprep, since that is how Kafka's own tools store it.
 */
export class ScramMechanism implements SaslMechanism {
  readonly name: ScramName
  readonly #login: ScramLogin
  readonly #random: Random

  constructor(name: ScramName, login: ScramLogin, random: Random) {
    this.name = name
    this.#login = login
    this.#random = random
  }

  async start(): Promise<SaslExchange> {
    return new ScramExchange(this.name, this.#login, await this.#login.password(), this.#nonce())
  }

  #nonce(): string {
    return Buffer.from(this.#random.bytes(NONCE_BYTES)).toString('base64url')
  }
}

class ScramExchange implements SaslExchange {
  isComplete = false
  readonly #hash: 'sha256' | 'sha512'
  readonly #password: string
  readonly #nonce: string
  readonly #firstBare: string
  #serverSignature: Buffer | undefined

  constructor(name: ScramName, { username, isDelegationToken }: ScramLogin, password: string, nonce: string) {
    this.#hash = hashes[name]
    this.#password = password
    this.#nonce = nonce
    const escaped = username.replaceAll('=', '=3D').replaceAll(',', '=2C')
    this.#firstBare = `n=${escaped},r=${nonce}${isDelegationToken ? ',tokenauth=true' : ''}`
  }

  async next(challenge: Buffer | undefined): Promise<Uint8Array | undefined> {
    if (challenge === undefined) return Buffer.from(`n,,${this.#firstBare}`)
    if (challenge.length > MAX_MESSAGE_BYTES) throw refused(`a message of ${challenge.length} bytes`)
    if (this.#serverSignature === undefined) return this.#prove(challenge.toString())
    this.#verify(challenge.toString())
    return undefined
  }

  /** The broker's first message holds salt and count: we show that we know the password, and compute what it must show. */
  async #prove(serverFirst: string): Promise<Uint8Array> {
    const match = /^r=([\x21-\x2b\x2d-\x7e]+),s=([A-Za-z0-9+/]+={0,2}),i=(\d{1,10})(?:,.*)?$/.exec(serverFirst)
    if (match === null) throw refused('a first message that is none')
    const [, nonce, salt, count] = match as unknown as [string, string, string, string]
    if (!nonce.startsWith(this.#nonce) || nonce.length === this.#nonce.length) throw refused('a nonce that does not extend ours')
    const iterations = Number(count)
    if (iterations < MIN_ITERATIONS || iterations > MAX_ITERATIONS)
      throw refused(`${iterations} iterations; between ${MIN_ITERATIONS} and ${MAX_ITERATIONS} are sound`)
    const hashBytes = this.#hash === 'sha256' ? 32 : 64
    const salted = await deriveKey(this.#password, Buffer.from(salt, 'base64'), iterations, hashBytes, this.#hash)
    const finalBare = `c=biws,r=${nonce}`
    const authMessage = `${this.#firstBare},${serverFirst},${finalBare}`
    const clientKey = this.#hmac(salted, 'Client Key')
    const clientSignature = this.#hmac(createHash(this.#hash).update(clientKey).digest(), authMessage)
    this.#serverSignature = this.#hmac(this.#hmac(salted, 'Server Key'), authMessage)
    const proof = clientKey.map((byte, index) => byte ^ clientSignature[index]!)
    return Buffer.from(`${finalBare},p=${Buffer.from(proof).toString('base64')}`)
  }

  /** Who does not know the password's verifier cannot sign: it is no broker of ours, whatever it says. */
  #verify(serverFinal: string): void {
    const failure = /^e=([^,]{1,200})/.exec(serverFinal)
    if (failure !== null) throw new AuthenticationError('SASL_AUTHENTICATION_FAILED', `the broker refuses the login: ${failure[1]}`)
    const signature = Buffer.from(/^v=([A-Za-z0-9+/]+={0,2})(?:,.*)?$/.exec(serverFinal)?.[1] ?? '', 'base64')
    const expected = this.#serverSignature!
    if (signature.length !== expected.length || !timingSafeEqual(signature, expected))
      throw refused('a signature that does not fit: it does not know the password, so it is not the broker')
    this.isComplete = true
  }

  #hmac(key: Uint8Array, text: string): Buffer {
    return createHmac(this.#hash, key).update(text).digest()
  }
}

const refused = (what: string): AuthenticationError =>
  new AuthenticationError('SASL_AUTHENTICATION_FAILED', `the broker answers the SCRAM login with ${what}`)
