import { readFile } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { fileURLToPath } from 'node:url'
import { type Clock, messageOf } from '@tidelog/core'
import { AuthenticationError, ClientError, InvalidOptionError, isRetriable } from '../errors.ts'
import { readText } from '../http-text.ts'
import { backoffMs, sleep } from '../wait.ts'
import type { OAuthBearerToken } from './sasl/oauth-bearer.ts'
import type { SecurityContext } from './security-context.ts'

const MAX_ANSWER_BYTES = 1024 * 1024

interface Cached {
  readonly token: OAuthBearerToken
  /** Wall-clock times in ms. */
  readonly refreshAtMs: number
  readonly endsAtMs: number
}

/**
 * Tokens of `sasl.oauthbearer.token.endpoint.url`: by client credentials (RFC 6749, 4.4), or out of a file. A token serves all connections
 * until most of its life is over; while no new one can be had, the old one serves until its end. KIP-768, KIP-1139.
 * @param jaas Options of OAuthBearerLoginModule.
 * @throws InvalidOptionError for settings that are missing; the function that is returned throws AuthenticationError, or ClientError
 * LOGIN_UNAVAILABLE, which is retriable
 */
export function tokenSource(
  context: SecurityContext,
  jaas: ReadonlyMap<string, string>,
): (signal: AbortSignal) => Promise<OAuthBearerToken> {
  const { clock } = context
  const extensions = extensionsOf(jaas)
  const retrieve = retrieverOf(context, jaas)
  let cached: Cached | undefined
  let retrieving: Promise<OAuthBearerToken> | undefined
  const refresh = async (signal: AbortSignal): Promise<OAuthBearerToken> => {
    try {
      const token = { value: await retrieve(signal), extensions }
      cached = cacheable(token, context)
      return token
    } catch (error) {
      if (cached !== undefined && clock.now() < cached.endsAtMs) return cached.token
      throw error
    }
  }
  return async (signal) => {
    if (cached !== undefined && clock.now() < cached.refreshAtMs) return cached.token
    retrieving ??= refresh(signal).finally(() => {
      retrieving = undefined
    })
    return retrieving
  }
}

const EXTENSION_PREFIX = 'extension_'

const extensionsOf = (jaas: ReadonlyMap<string, string>): Record<string, string> =>
  Object.fromEntries(
    [...jaas].filter(([name]) => name.startsWith(EXTENSION_PREFIX)).map(([name, text]) => [name.slice(EXTENSION_PREFIX.length), text]),
  )

/** When a token is to be replaced, by the rules of Kafka's `sasl.login.refresh.*`; undefined for one that does not say when it ends. */
function cacheable(token: OAuthBearerToken, { config, clock, random }: SecurityContext): Cached | undefined {
  const endsAtMs = expiryOf(token.value)
  const nowMs = clock.now()
  if (endsAtMs === undefined || endsAtMs <= nowMs) return undefined
  const lifeMs = endsAtMs - nowMs
  const jitter = (config['sasl.login.refresh.window.jitter'] * random.int(1001)) / 1000
  const byWindowMs = nowMs + lifeMs * Math.min(1, config['sasl.login.refresh.window.factor'] + jitter)
  const bufferMs = config['sasl.login.refresh.buffer.seconds'] * 1000
  const minMs = config['sasl.login.refresh.min.period.seconds'] * 1000
  // A life too short for both is cut by the window alone.
  const isShort = lifeMs < bufferMs + minMs
  const refreshAtMs = isShort ? byWindowMs : Math.max(nowMs + minMs, Math.min(byWindowMs, endsAtMs - bufferMs))
  return { token, refreshAtMs, endsAtMs }
}

/** `exp` of a JWT, in ms; undefined for other tokens. The broker judges it, so nothing is verified here. */
function expiryOf(token: string): number | undefined {
  try {
    const { exp } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { exp?: unknown }
    return typeof exp === 'number' && Number.isFinite(exp) ? exp * 1000 : undefined
  } catch {
    return undefined
  }
}

type Retrieve = (signal: AbortSignal) => Promise<string>

function retrieverOf(context: SecurityContext, jaas: ReadonlyMap<string, string>): Retrieve {
  const text = context.config['sasl.oauthbearer.token.endpoint.url']
  if (text === null) throw new InvalidOptionError('OAUTHBEARER needs a token: give sasl.token, or saslOauthbearerTokenEndpointUrl')
  if (!URL.canParse(text)) throw new InvalidOptionError('saslOauthbearerTokenEndpointUrl is no URL')
  const url = new URL(text)
  if (url.protocol === 'file:') return () => tokenOfFile(url)
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new InvalidOptionError(`saslOauthbearerTokenEndpointUrl: ${url.protocol} is none of https:, http: and file:`)
  }
  return byClientCredentials(url, context, jaas)
}

async function tokenOfFile(url: URL): Promise<string> {
  try {
    return (await readFile(fileURLToPath(url), 'utf8')).trim()
  } catch (error) {
    throw unavailable(`cannot be read from its file: ${messageOf(error)}`, error)
  }
}

function byClientCredentials(url: URL, context: SecurityContext, jaas: ReadonlyMap<string, string>): Retrieve {
  const { config, clock, random, logger } = context
  const clientId = config['sasl.oauthbearer.client.credentials.client.id'] ?? jaas.get('clientId')
  const clientSecret = config['sasl.oauthbearer.client.credentials.client.secret']?.reveal() ?? jaas.get('clientSecret')
  if (clientId === undefined || clientSecret === undefined) {
    throw new InvalidOptionError('the token endpoint needs saslOauthbearerClientCredentialsClientId and …ClientSecret')
  }
  const scope = config['sasl.oauthbearer.scope'] ?? jaas.get('scope')
  const encode = config['sasl.oauthbearer.header.urlencode'] ? encodeURIComponent : (text: string) => text
  const authorization = `Basic ${Buffer.from(`${encode(clientId)}:${encode(clientSecret)}`).toString('base64')}`
  const body = new URLSearchParams({ grant_type: 'client_credentials', ...(scope === undefined ? {} : { scope }) }).toString()
  const timeoutMs = config['sasl.login.read.timeout.ms'] ?? config['request.timeout.ms']
  const [baseMs, maxMs] = [config['sasl.login.retry.backoff.ms'], config['sasl.login.retry.backoff.max.ms']]
  return async (signal) => {
    const giveUpMs = clock.monotonic() + maxMs
    for (let attempt = 0; ; attempt++) {
      try {
        return await requestToken(url, { authorization, body, timeoutMs, clock, signal })
      } catch (error) {
        const waitMs = backoffMs(random, attempt, baseMs, maxMs)
        if (!isRetriable(error) || clock.monotonic() + waitMs >= giveUpMs) throw error
        logger.debug('the token endpoint gave no token', { reason: messageOf(error) })
        await sleep(clock, waitMs, signal)
      }
    }
  }
}

interface TokenRequest {
  readonly authorization: string
  readonly body: string
  readonly timeoutMs: number
  readonly clock: Clock
  readonly signal: AbortSignal
}

async function requestToken(url: URL, request: TokenRequest): Promise<string> {
  const { status, text } = await post(url, request)
  // What is wrong with the request stays wrong; the rest may pass.
  if (status >= 400 && status < 500 && status !== 408 && status !== 429)
    throw new AuthenticationError('SASL_AUTHENTICATION_FAILED', `the token endpoint ${url.host} refuses: ${status} ${reasonIn(text)}`)
  if (status !== 200) throw unavailable(`was answered with ${status} by ${url.host}`)
  const token = tokenIn(text)
  if (token === undefined) throw unavailable(`is missing in the answer of ${url.host}`)
  return token
}

function tokenIn(text: string): string | undefined {
  try {
    const { access_token, id_token } = JSON.parse(text) as { access_token?: unknown; id_token?: unknown }
    const token = access_token ?? id_token
    return typeof token === 'string' && token !== '' ? token : undefined
  } catch {
    return undefined
  }
}

/** The two fields that an error has; an answer's other contents are not for messages. RFC 6749, 5.2. */
function reasonIn(text: string): string {
  try {
    const { error, error_description } = JSON.parse(text) as { error?: unknown; error_description?: unknown }
    return [error, error_description]
      .filter((part) => typeof part === 'string')
      .join(': ')
      .slice(0, 300)
  } catch {
    return ''
  }
}

function post(url: URL, { authorization, body, timeoutMs, clock, signal }: TokenRequest): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest
    const headers = {
      accept: 'application/json',
      authorization,
      'content-type': 'application/x-www-form-urlencoded',
      'content-length': Buffer.byteLength(body),
    }
    const fail = (error: Error) => reject(unavailable(`did not come from ${url.host}: ${error.message}`, error))
    const request = send(url, { method: 'POST', headers, agent: false, signal }, (response) => {
      readText(response, MAX_ANSWER_BYTES).then((text) => resolve({ status: response.statusCode ?? 0, text }), fail)
    })
    request.on('error', fail)
    const timer = clock.setTimer(timeoutMs, () => request.destroy(new Error(`there was no answer within ${timeoutMs} ms`)))
    request.on('close', () => timer.cancel())
    request.end(body)
  })
}

const unavailable = (what: string, cause?: unknown): ClientError =>
  new ClientError('LOGIN_UNAVAILABLE', `the token for the login ${what}`, { retriable: true, cause })
