import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startScriptedBroker, TestAuthority } from '@tidelog/testkit'
import { Admin, AuthenticationError, fromProperties, TlsError } from 'tidelog'

const SASL_HANDSHAKE = 17
const SASL_AUTHENTICATE = 36

/** A stand-in for a broker that wants TLS, a login as alice, and a certificate besides if it is shown one. */
async function withSecuredBroker(example: (broker: { bootstrapServers: string; dir: string }) => Promise<void>): Promise<void> {
  const cleanups: (() => void | Promise<void>)[] = []
  const dir = mkdtempSync(join(tmpdir(), 'tidelog-example-'))
  const authority = new TestAuthority()
  const client = authority.issue({ commonName: 'client' })
  writeFileSync(join(dir, 'ca.pem'), authority.cert)
  writeFileSync(join(dir, 'client.pem'), client.key + client.cert)
  const isAlice = (bytes: unknown) => Buffer.from(bytes as Uint8Array).toString() === '\0alice\0open sesame'
  const { bootstrapServers } = await startScriptedBroker(
    { after: (cleanup) => cleanups.push(cleanup) },
    {
      tls: { ...authority.issue(), ca: authority.cert, requestCert: true, rejectUnauthorized: false },
      answer: ({ api, request }) => {
        if (api.key === SASL_HANDSHAKE) return { errorCode: 0, mechanisms: ['PLAIN'] }
        if (api.key !== SASL_AUTHENTICATE) return 'ordinary'
        const errorCode = isAlice(request.authBytes) ? 0 : 58
        return { errorCode, errorMessage: 'invalid credentials', authBytes: Buffer.alloc(0), sessionLifetimeMs: 0 }
      },
    },
  )
  try {
    await example({ bootstrapServers, dir })
  } finally {
    for (const cleanup of cleanups) await cleanup()
    rmSync(dir, { recursive: true, force: true })
  }
}

export async function speakTls(): Promise<void> {
  await withSecuredBroker(async ({ bootstrapServers, dir }) => {
    // #region tls
    const ca = readFileSync(join(dir, 'ca.pem'))
    const admin = new Admin({ bootstrapServers, tls: { ca } }) // tls: true trusts whom Node trusts
    await admin.listTopics()
    await admin.close()

    // With a certificate of its own: mTLS.
    const pem = readFileSync(join(dir, 'client.pem')) // key and certificate in one
    const known = new Admin({ bootstrapServers, tls: { ca, cert: pem, key: pem } })
    await known.listTopics()
    await known.close()
    // #endregion

    // #region properties
    const byProperties = new Admin(
      fromProperties({
        'bootstrap.servers': bootstrapServers,
        'security.protocol': 'SASL_SSL',
        'ssl.truststore.type': 'PEM',
        'ssl.truststore.location': join(dir, 'ca.pem'),
        'sasl.mechanism': 'PLAIN',
        'sasl.jaas.config': `org.apache.kafka.common.security.plain.PlainLoginModule required username="alice" password="open sesame";`,
      }),
    )
    await byProperties.listTopics()
    await byProperties.close()
    // #endregion
  })
}

export async function logIn(): Promise<void> {
  await withSecuredBroker(async ({ bootstrapServers, dir }) => {
    const ca = readFileSync(join(dir, 'ca.pem'))
    const vault = { read: async () => 'open sesame' }
    let mayTryAgain: boolean | undefined
    const admin = new Admin({ bootstrapServers, tls: { ca }, sasl: { mechanism: 'PLAIN', username: 'alice', password: 'wrong' } })
    // #region failures
    try {
      await admin.listTopics()
    } catch (error) {
      if (error instanceof AuthenticationError)
        mayTryAgain = false // error.code: SASL_AUTHENTICATION_FAILED
      else if (error instanceof TlsError) mayTryAgain = false
      else throw error
    }
    // #endregion
    await admin.close()
    assert.equal(mayTryAgain, false)
    // #region sasl
    const alice = new Admin({
      bootstrapServers,
      tls: { ca },
      sasl: { mechanism: 'PLAIN', username: 'alice', password: () => vault.read() }, // or a text
    })
    await alice.listTopics()
    await alice.close()
    // #endregion
  })
}
