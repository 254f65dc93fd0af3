import { CreateDelegationToken, DescribeDelegationToken, ExpireDelegationToken, RenewDelegationToken } from '@tidelog/protocol'
import { ClientError, checkErrorCode, UnsupportedVersionError } from '../errors.ts'
import { type AdminCallOptions, type AdminContext, callOptions } from './admin-client.ts'
import { onController } from './per-item.ts'

/** A token that lets its owner log in by SCRAM without a password: `tokenId` is the user, the HMAC in base64 the password. KIP-48. Times are ms since the Unix epoch. */
export interface DelegationToken {
  readonly tokenId: string
  /** Principals here are written as in ACLs, such as `User:alice`. */
  readonly owner: string
  /** Who asked for it; the owner from brokers that do not say. KIP-373. */
  readonly requester: string
  readonly renewers: readonly string[]
  readonly issueTimestamp: number
  /** When it ends unless it is renewed. */
  readonly expiryTimestamp: number
  /** When it ends at the latest. */
  readonly maxTimestamp: number
  /** Secret; renews and expires the token. */
  readonly hmac: Buffer
}

/** What createDelegationToken() takes. */
export interface CreateDelegationTokenOptions extends AdminCallOptions {
  /** Who may renew it, beside its owner. */
  readonly renewers?: readonly string[]
  /** `delegation.token.max.lifetime.ms` of the broker when absent. */
  readonly maxLifetimeMs?: number
  /** Instead of whoever asks. KIP-373. */
  readonly owner?: string
}

/** What renewDelegationToken() takes. */
export interface RenewDelegationTokenOptions extends AdminCallOptions {
  /** From now on; `delegation.token.expiry.time.ms` of the broker when absent. */
  readonly renewPeriodMs?: number
}

/** What expireDelegationToken() takes. */
export interface ExpireDelegationTokenOptions extends AdminCallOptions {
  /** From now on; at once when absent. */
  readonly expiryPeriodMs?: number
}

/** What describeDelegationToken() takes. */
export interface DescribeDelegationTokenOptions extends AdminCallOptions {
  /** Only theirs. */
  readonly owners?: readonly string[]
}

/** What stands for the broker's own setting; for `expire`, at once. */
const BY_BROKER = -1
const OLDEST_WITH_OWNER = 3

interface Principal {
  readonly principalType: string
  readonly principalName: string
}

function principalOf(text: string): Principal {
  const colon = text.indexOf(':')
  if (colon < 1) throw new ClientError('INVALID_ARGUMENT', `'${text}' is no principal: expected TYPE:NAME, such as User:alice`)
  return { principalType: text.slice(0, colon), principalName: text.slice(colon + 1) }
}
const principalText = ({ principalType, principalName }: Principal): string => `${principalType}:${principalName}`

/** As version 3 has it; before, the two fields are empty. */
const requesterOf = (row: { tokenRequesterPrincipalType: string; tokenRequesterPrincipalName: string } & Principal): string =>
  row.tokenRequesterPrincipalType === ''
    ? principalText(row)
    : principalText({ principalType: row.tokenRequesterPrincipalType, principalName: row.tokenRequesterPrincipalName })

export async function createDelegationToken(
  context: AdminContext,
  { renewers = [], maxLifetimeMs = BY_BROKER, owner, ...options }: CreateDelegationTokenOptions,
): Promise<DelegationToken> {
  const renewerRows = renewers.map(principalOf)
  const ownerRow = owner === undefined ? undefined : principalOf(owner)
  return onController(context, callOptions(context, 'createDelegationToken', options), async (connection) => {
    const response = await connection.send(CreateDelegationToken, (version) => {
      if (ownerRow !== undefined && version < OLDEST_WITH_OWNER)
        throw new UnsupportedVersionError('the broker cannot create tokens for other owners')
      return {
        ownerPrincipalType: ownerRow?.principalType ?? null,
        ownerPrincipalName: ownerRow?.principalName ?? null,
        renewers: renewerRows,
        maxLifetimeMs,
      }
    })
    checkErrorCode(response.errorCode, 'createDelegationToken')
    return {
      tokenId: response.tokenId,
      owner: principalText(response),
      requester: requesterOf(response),
      renewers: [...renewers],
      issueTimestamp: response.issueTimestampMs,
      expiryTimestamp: response.expiryTimestampMs,
      maxTimestamp: response.maxTimestampMs,
      hmac: response.hmac,
    }
  })
}

/** @returns When it ends now. */
export function renewDelegationToken(
  context: AdminContext,
  hmac: Uint8Array,
  { renewPeriodMs = BY_BROKER, ...options }: RenewDelegationTokenOptions,
): Promise<number> {
  return onController(context, callOptions(context, 'renewDelegationToken', options), async (connection) => {
    const { errorCode, expiryTimestampMs } = await connection.send(RenewDelegationToken, { hmac: Buffer.from(hmac), renewPeriodMs })
    checkErrorCode(errorCode, 'renewDelegationToken')
    return expiryTimestampMs
  })
}

/** @returns When it ends now. */
export function expireDelegationToken(
  context: AdminContext,
  hmac: Uint8Array,
  { expiryPeriodMs = BY_BROKER, ...options }: ExpireDelegationTokenOptions,
): Promise<number> {
  return onController(context, callOptions(context, 'expireDelegationToken', options), async (connection) => {
    const request = { hmac: Buffer.from(hmac), expiryTimePeriodMs: expiryPeriodMs }
    const { errorCode, expiryTimestampMs } = await connection.send(ExpireDelegationToken, request)
    checkErrorCode(errorCode, 'expireDelegationToken')
    return expiryTimestampMs
  })
}

/** The tokens that the caller may see. */
export async function describeDelegationToken(
  context: AdminContext,
  { owners, ...options }: DescribeDelegationTokenOptions,
): Promise<DelegationToken[]> {
  const ownerRows = owners?.map(principalOf) ?? null
  const retry = callOptions(context, 'describeDelegationToken', options)
  return context.cluster.retry(retry, async () => {
    const connection = await context.cluster.anyConnection(retry)
    const response = await connection.send(DescribeDelegationToken, { owners: ownerRows })
    checkErrorCode(response.errorCode, 'describeDelegationToken')
    return response.tokens.map((token) => ({
      tokenId: token.tokenId,
      owner: principalText(token),
      requester: requesterOf(token),
      renewers: token.renewers.map(principalText),
      issueTimestamp: token.issueTimestamp,
      expiryTimestamp: token.expiryTimestamp,
      maxTimestamp: token.maxTimestamp,
      hmac: token.hmac,
    }))
  })
}
