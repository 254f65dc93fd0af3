import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { isIP } from 'node:net'

/** A key and the certificate that names it, as PEM. */
export interface Identity {
  readonly cert: string
  /** PKCS 8, not encrypted. */
  readonly key: string
}

export interface IdentityOptions {
  readonly commonName?: string
  /** Host names and IP addresses that the certificate is for; `localhost` and `127.0.0.1` when absent. */
  readonly hosts?: readonly string[]
  /** Days from now; negative ones lie behind. */
  readonly validFromDays?: number
  readonly validDays?: number
}

const DAY_MS = 86_400_000

/** An authority of a test's own, which signs certificates for brokers and clients. */
export class TestAuthority {
  readonly cert: string
  readonly #name: string
  readonly #key: KeyObject

  constructor(name = 'test authority') {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    this.#name = name
    this.#key = privateKey
    this.cert = certificate({ issuer: name, issuerKey: privateKey, subject: name, publicKey, extensions: [authorityExtension] }, {})
  }

  issue({ commonName = 'test', hosts = ['localhost', '127.0.0.1'], ...validity }: IdentityOptions = {}): Identity {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const extensions = hosts.length === 0 ? [] : [alternativeNames(hosts)]
    return {
      cert: certificate({ issuer: this.#name, issuerKey: this.#key, subject: commonName, publicKey, extensions }, validity),
      key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    }
  }
}

/** The same key, under a password. */
export function encryptKey({ key }: Identity, passphrase: string): string {
  return createPrivateKey(key).export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase }).toString()
}

interface ToSign {
  readonly issuer: string
  readonly issuerKey: KeyObject
  readonly subject: string
  readonly publicKey: KeyObject
  readonly extensions: readonly Buffer[]
}

/** X.509 version 3, RFC 5280, in DER. */
function certificate(
  { issuer, issuerKey, subject, publicKey, extensions }: ToSign,
  { validFromDays = -1, validDays = 30 }: Pick<IdentityOptions, 'validFromDays' | 'validDays'>,
): string {
  const fromMs = Date.now() + validFromDays * DAY_MS
  const serial = Buffer.concat([Buffer.of(0x01), randomBytes(8)])
  const body = sequence(
    der(0xa0, integer(Buffer.of(2))),
    integer(serial),
    ecdsaWithSha256,
    nameOf(issuer),
    sequence(utcTime(fromMs), utcTime(fromMs + validDays * DAY_MS)),
    nameOf(subject),
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(...extensions)),
  )
  const signature = sign('sha256', body, issuerKey)
  const bytes = sequence(body, ecdsaWithSha256, bitString(signature))
  const lines = bytes.toString('base64').replace(/.{64}/g, '$&\n')
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`
}

function der(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(contents)
  const { length } = content
  const head = length < 0x80 ? [tag, length] : length < 0x100 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from(head), content])
}

const sequence = (...contents: readonly Uint8Array[]): Buffer => der(0x30, ...contents)
const integer = (bytes: Buffer): Buffer => der(0x02, bytes)
const octets = (bytes: Buffer): Buffer => der(0x04, bytes)
const bitString = (bytes: Buffer): Buffer => der(0x03, Buffer.of(0), bytes)
const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'))

/** YYMMDDhhmmssZ; years up to 2049. */
const utcTime = (ms: number): Buffer => der(0x17, Buffer.from(`${new Date(ms).toISOString().replace(/\D/g, '').slice(2, 14)}Z`))

/** 1.2.840.10045.4.3.2 */
const ecdsaWithSha256 = sequence(oid('2a8648ce3d040302'))

/** 2.5.4.3, common name. */
const nameOf = (commonName: string): Buffer => sequence(der(0x31, sequence(oid('550403'), der(0x0c, Buffer.from(commonName)))))

/** 2.5.29.19, critical: signs certificates. */
const authorityExtension = sequence(oid('551d13'), der(0x01, Buffer.of(0xff)), octets(sequence(der(0x01, Buffer.of(0xff)))))

/** 2.5.29.17 */
function alternativeNames(hosts: readonly string[]): Buffer {
  const names = hosts.map((host) => (isIP(host) === 4 ? der(0x87, Buffer.from(host.split('.').map(Number))) : der(0x82, Buffer.from(host))))
  return sequence(oid('551d11'), octets(sequence(...names)))
}
