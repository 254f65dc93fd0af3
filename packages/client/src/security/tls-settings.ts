import { readFileSync } from 'node:fs'
import { createSecureContext, getCiphers, type SecureContextOptions, type ConnectionOptions as TlsConnectionOptions } from 'node:tls'
import { messageOf } from '@tidelog/core'
import type { CommonConfig } from '../config/client-config.ts'
import { InvalidOptionError } from '../errors.ts'

/** TLS as node:tls has it; `ca`, `cert` and `key` are what is usually given. */
export type TlsOptions = Omit<TlsConnectionOptions, 'host' | 'port' | 'path' | 'socket' | 'lookup' | 'timeout'>

const PEM_HEADER = '-----BEGIN'
const versions = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const

/**
 * What `ssl.*` says, in the words of node:tls; `tls` goes over it. Files are read once, here, and certificates are parsed once.
 * @throws InvalidOptionError for what cannot be read or does not go together
 */
export function tlsSettings(config: CommonConfig, tls: TlsOptions | boolean | undefined): TlsConnectionOptions {
  const own = typeof tls === 'object' ? tls : {}
  const names = versions.filter((version) => config['ssl.enabled.protocols'].includes(version))
  const context: SecureContextOptions = {
    ...truststore(config),
    ...keystore(config),
    minVersion: names[0]!,
    maxVersion: names.at(-1)!,
    ...(config['ssl.cipher.suites'].length === 0 ? {} : { ciphers: config['ssl.cipher.suites'].map(cipherOf).join(':') }),
    ...own,
  }
  try {
    const checksName = config['ssl.endpoint.identification.algorithm'] !== ''
    return {
      ...(checksName ? {} : { checkServerIdentity: () => undefined }),
      ...own,
      secureContext: own.secureContext ?? createSecureContext(context),
    }
  } catch (error) {
    const why = messageOf(error)
    throw new InvalidOptionError(`keys and certificates do not fit together, or cannot be read: ${why}${pkcs12Hint(context, why)}`, error)
  }
}

function truststore(config: CommonConfig): SecureContextOptions {
  const inline = config['ssl.truststore.certificates']
  if (inline !== null) return { ca: pemOf('sslTruststoreCertificates', inline.reveal()) }
  const location = config['ssl.truststore.location']
  if (location === null || location === '') return {}
  const name = 'sslTruststoreLocation'
  const { kind, bytes } = readStore(name, location)
  if (kind === 'PEM') return { ca: bytes }
  // Node takes from PKCS12 a key and what belongs to it, and a trust store has none.
  throw new InvalidOptionError(
    `${name}: ${location} is a PKCS12 file, from which Node takes no trusted certificates; make it PEM: openssl pkcs12 -in FILE -nokeys -out ca.pem`,
  )
}

function keystore(config: CommonConfig): SecureContextOptions {
  const chain = config['ssl.keystore.certificate.chain']
  const key = config['ssl.keystore.key']
  const keyPassword = config['ssl.key.password']
  const passphrase = keyPassword === null ? {} : { passphrase: keyPassword.reveal() }
  if ((chain === null) !== (key === null)) throw new InvalidOptionError('sslKeystoreCertificateChain and sslKeystoreKey go together')
  if (chain !== null && key !== null) {
    const cert = pemOf('sslKeystoreCertificateChain', chain.reveal())
    return { cert, key: pemOf('sslKeystoreKey', key.reveal()), ...passphrase }
  }
  const location = config['ssl.keystore.location']
  if (location === null || location === '') return {}
  const { kind, bytes } = readStore('sslKeystoreLocation', location)
  if (kind === 'PEM') return { cert: bytes, key: bytes, ...passphrase }
  const storePassword = config['ssl.keystore.password']
  return { pfx: bytes, ...(storePassword === null ? {} : { passphrase: storePassword.reveal() }) }
}

function pemOf(option: string, text: string): string {
  if (!text.includes(PEM_HEADER)) throw new InvalidOptionError(`${option} is no PEM: there is no ${PEM_HEADER} in it`)
  return text
}

const JKS_MAGIC = 0xfeedfeed
const JCEKS_MAGIC = 0xcececece
const DER_SEQUENCE = 0x30

/** What a file is shows in its first bytes: Java's default type, JKS, stands as well before files that are PKCS12. */
function readStore(option: string, location: string): { kind: 'PEM' | 'PKCS12'; bytes: Buffer } {
  let bytes: Buffer
  try {
    bytes = readFileSync(location)
  } catch (error) {
    throw new InvalidOptionError(`${option}: ${location} cannot be read: ${messageOf(error)}`, error)
  }
  const magic = bytes.length >= 4 ? bytes.readUInt32BE(0) : 0
  if (magic === JKS_MAGIC || magic === JCEKS_MAGIC) {
    throw new InvalidOptionError(
      `${option}: ${location} is a Java key store (JKS), which only Java reads; make it PEM: ` +
        'keytool -importkeystore -srckeystore FILE -destkeystore store.p12 -deststoretype PKCS12, then openssl pkcs12 -in store.p12 -out store.pem',
    )
  }
  if (bytes.includes(PEM_HEADER)) return { kind: 'PEM', bytes }
  if (bytes[0] === DER_SEQUENCE) return { kind: 'PKCS12', bytes }
  throw new InvalidOptionError(`${option}: ${location} is neither PEM nor PKCS12`)
}

function pkcs12Hint({ pfx }: SecureContextOptions, why: string): string {
  if (pfx === undefined) return ''
  if (/mac verify|password/i.test(why)) return ' (sslKeystorePassword does not open the file)'
  return ' (OpenSSL 3 no longer reads old ciphers of PKCS12: make it PEM with openssl pkcs12 -legacy -in FILE -out store.pem)'
}

/** Java's `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256` is OpenSSL's `ECDHE-RSA-AES128-GCM-SHA256`; the suites of TLS 1.3 go by one name. */
function cipherOf(suite: string): string {
  const [exchange, cipher] = suite.replace(/^TLS_/, '').split('_WITH_')
  const openssl =
    cipher === undefined
      ? suite
      : [
          ...(exchange === 'RSA' ? [] : [exchange]),
          cipher
            .replace(/AES_(\d+)/, 'AES$1')
            .replace('_CBC', '')
            .replace(/(POLY1305)_SHA256$/, '$1'),
        ]
          .join('-')
          .replaceAll('_', '-')
  if (!getCiphers().includes(openssl.toLowerCase())) throw new InvalidOptionError(`sslCipherSuites: this Node has no cipher suite ${suite}`)
  return openssl
}
