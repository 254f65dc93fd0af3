import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { seededRandom, silentLogger, systemClock } from '@tidelog/core'
import { ManualClock } from '@tidelog/testkit'
import { type AdminConfigOptions, adminConfig } from '../config/admin-config.ts'
import { AuthenticationError, type ClientError, InvalidOptionError } from '../errors.ts'
import { tokenSource } from './token-source.ts'

interface Answer {
  readonly status: number
  readonly body: unknown
}

/** A token endpoint; `requests` are the headers and bodies that came. */
async function endpoint(t: TestContext, answer: (count: number) => Answer) {
  const requests: { authorization: string | undefined; body: string }[] = []
  const server = createServer((request: IncomingMessage, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      requests.push({ authorization: request.headers.authorization, body: Buffer.concat(chunks).toString() })
      const { status, body } = answer(requests.length)
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(typeof body === 'string' ? body : JSON.stringify(body))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`, requests }
}

const jwt = (expS: number, name = 'token') => `h.${Buffer.from(JSON.stringify({ exp: expS, name })).toString('base64url')}.s`

function sourceOf(options: AdminConfigOptions, jaas: Readonly<Record<string, string>> = {}, clock = systemClock) {
  const config = adminConfig.resolve({ bootstrapServers: 'a:1', saslLoginRetryBackoffMs: 1, saslLoginRetryBackoffMaxMs: 200, ...options })
  const source = tokenSource({ config, clock, random: seededRandom(1), logger: silentLogger }, new Map(Object.entries(jaas)))
  return () => source(new AbortController().signal)
}

test('client credentials are sent as RFC 6749 has them, by configurations or by options of the login module', async (t) => {
  const { url, requests } = await endpoint(t, () => ({ status: 200, body: { access_token: 'opaque', token_type: 'Bearer' } }))
  const byOptions = sourceOf({
    saslOauthbearerTokenEndpointUrl: url,
    saslOauthbearerClientCredentialsClientId: 'me',
    saslOauthbearerClientCredentialsClientSecret: 'a secret:',
    saslOauthbearerScope: 'kafka read',
    saslOauthbearerHeaderUrlencode: true,
  })
  assert.deepEqual(await byOptions(), { value: 'opaque', extensions: {} })
  const byModule = sourceOf({ saslOauthbearerTokenEndpointUrl: url }, { clientId: 'me', clientSecret: 'secret', extension_traceId: '7' })
  assert.deepEqual(await byModule(), { value: 'opaque', extensions: { traceId: '7' } })
  assert.deepEqual(
    requests.map(({ authorization, body }) => [Buffer.from(authorization!.replace('Basic ', ''), 'base64').toString(), body]),
    [
      ['me:a%20secret%3A', 'grant_type=client_credentials&scope=kafka+read'],
      ['me:secret', 'grant_type=client_credentials'],
    ],
  )
})

test('a token serves until most of its life is over, and to its end while no new one can be had', async (t) => {
  const clock = new ManualClock()
  const startS = clock.now() / 1000
  let isDown = false
  const { url, requests } = await endpoint(t, (count) =>
    isDown ? { status: 503, body: '' } : { status: 200, body: { access_token: jwt(startS + 1000 * count, `${count}`) } },
  )
  // A moment that never passes on this clock must not be waited for.
  const retry = { saslLoginRetryBackoffMs: 1, saslLoginRetryBackoffMaxMs: 0 }
  const token = sourceOf({ saslOauthbearerTokenEndpointUrl: url, ...retry }, { clientId: 'me', clientSecret: 's' }, clock)
  const [one, same] = await Promise.all([token(), token()])
  assert.equal(one, same)
  clock.advance(600_000)
  assert.equal(await token(), one)
  assert.equal(requests.length, 1)
  clock.advance(150_000)
  isDown = true
  assert.equal((await token()).value, one.value)
  clock.advance(300_000)
  await assert.rejects(token(), { code: 'LOGIN_UNAVAILABLE', retriable: true })
  isDown = false
  assert.equal((await token()).value, jwt(startS + 1000 * requests.length, `${requests.length}`))
})

test('what the endpoint refuses is an AuthenticationError with its reason and without the secret; what may pass is tried again', async (t) => {
  const login = { clientId: 'me', clientSecret: 'top-secret' }
  const refusing = await endpoint(t, () => ({ status: 401, body: { error: 'invalid_client', error_description: 'no such client' } }))
  const error: ClientError = await sourceOf({ saslOauthbearerTokenEndpointUrl: refusing.url }, login)().catch((reason) => reason)
  assert.ok(error instanceof AuthenticationError)
  assert.match(error.message, /401 invalid_client: no such client/)
  assert.doesNotMatch(`${error.stack}`, /secret/)
  assert.equal(refusing.requests.length, 1)

  const passing = await endpoint(t, (count) =>
    count < 3 ? { status: 500, body: 'oops' } : { status: 200, body: { access_token: 'late' } },
  )
  assert.equal(
    (await sourceOf({ saslOauthbearerTokenEndpointUrl: passing.url, saslLoginRetryBackoffMaxMs: 10_000 }, login)()).value,
    'late',
  )

  for (const body of ['no JSON', {}, { access_token: 7 }, 'x'.repeat(2 << 20)]) {
    const broken = await endpoint(t, () => ({ status: 200, body }))
    const source = sourceOf({ saslOauthbearerTokenEndpointUrl: broken.url, saslLoginRetryBackoffMaxMs: 0 }, login)
    await assert.rejects(source(), { code: 'LOGIN_UNAVAILABLE', retriable: true })
  }
})

test('an endpoint that does not answer is given up after sasl.login.read.timeout.ms', async (t) => {
  const server = createServer(() => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.closeAllConnections())
  t.after(() => server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const limits = { saslLoginReadTimeoutMs: 30, saslLoginRetryBackoffMaxMs: 0 }
  const source = sourceOf({ saslOauthbearerTokenEndpointUrl: url, ...limits }, { clientId: 'me', clientSecret: 's' })
  await assert.rejects(source(), { code: 'LOGIN_UNAVAILABLE', message: /no answer within 30 ms/ })
})

test('a file: URL gives the token that stands there now', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'tidelog-token-'))
  t.after(() => rm(dir, { recursive: true, force: true }))
  const file = join(dir, 'token.jwt')
  const source = sourceOf({ saslOauthbearerTokenEndpointUrl: String(pathToFileURL(file)) })
  await assert.rejects(source(), { code: 'LOGIN_UNAVAILABLE' })
  await writeFile(file, 'first\n')
  assert.equal((await source()).value, 'first')
  await writeFile(file, 'second\n')
  assert.equal((await source()).value, 'second')
})

test('settings that are missing or make no sense are named when the client is made', () => {
  assert.throws(() => sourceOf({}), InvalidOptionError)
  assert.throws(() => sourceOf({ saslOauthbearerTokenEndpointUrl: 'ftp://a/b' }), /ftp:/)
  assert.throws(() => sourceOf({ saslOauthbearerTokenEndpointUrl: 'nowhere' }), /no URL/)
  assert.throws(() => sourceOf({ saslOauthbearerTokenEndpointUrl: 'https://a/b' }, { clientId: 'me' }), /ClientSecret/)
  assert.throws(() => sourceOf({ saslOauthbearerJwtRetrieverClass: 'org.apache.kafka.JwtBearerJwtRetriever' }), /Java class/)
})
