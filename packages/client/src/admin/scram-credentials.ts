import { pbkdf2 } from 'node:crypto'
import { promisify } from 'node:util'
import { AlterUserScramCredentials, DescribeUserScramCredentials } from '@tidelog/protocol'
import { checkErrorCode } from '../errors.ts'
import { type AdminCallOptions, type AdminContext, callOptions } from './admin-client.ts'
import { askController, outcomeOf, perItem } from './per-item.ts'
import { allOrThrow } from './results.ts'

/** Kafka's code, hash and its size in bytes. */
const mechanisms = {
  'SCRAM-SHA-256': { code: 1, digest: 'sha256', bytes: 32 },
  'SCRAM-SHA-512': { code: 2, digest: 'sha512', bytes: 64 },
} as const
/** Of SCRAM. */
export type ScramMechanism = keyof typeof mechanisms
const mechanismOf = (code: number): ScramMechanism | 'unknown' =>
  (Object.keys(mechanisms) as ScramMechanism[]).find((name) => mechanisms[name].code === code) ?? 'unknown'

/** One of a user's SCRAM credentials, without anything secret. */
export interface ScramCredentialInfo {
  readonly mechanism: ScramMechanism | 'unknown'
  readonly iterations: number
}

/** A credential to set, which needs a password, or to delete. The password itself never leaves this process. */
export type UserScramCredentialAlteration =
  | {
      readonly user: string
      readonly mechanism: ScramMechanism
      readonly password: string | Uint8Array
      /** 4096 when absent, the least that Kafka takes. */
      readonly iterations?: number
      /** Random when absent. */
      readonly salt?: Uint8Array
    }
  | { readonly user: string; readonly mechanism: ScramMechanism; readonly delete: true }

const DEFAULT_ITERATIONS = 4096
const SALT_BYTES = 32
const deriveKey = promisify(pbkdf2)

/** @param users Of all users when absent. @returns By user. */
export async function describeUserScramCredentials(
  context: AdminContext,
  users: readonly string[] | undefined,
  options: AdminCallOptions,
): Promise<Map<string, ScramCredentialInfo[]>> {
  const retry = callOptions(context, 'describeUserScramCredentials', options)
  const results = await context.cluster.retry(retry, async () => {
    const connection = await context.cluster.anyConnection(retry)
    const response = await connection.send(DescribeUserScramCredentials, { users: users?.map((name) => ({ name })) ?? null })
    checkErrorCode(response.errorCode, 'describeUserScramCredentials', response.errorMessage)
    return response.results
  })
  const infos = results.map((row) => {
    const credentials = () => row.credentialInfos.map(({ mechanism, iterations }) => ({ mechanism: mechanismOf(mechanism), iterations }))
    return [row.user, outcomeOf(`user ${row.user}`, row, credentials)] as const
  })
  const found = allOrThrow('describeUserScramCredentials', infos)
  return new Map(found.map((credentials, index) => [results[index]!.user, credentials]))
}

/** One alteration a user: brokers refuse more of one user in a call. */
export async function alterUserScramCredentials(
  context: AdminContext,
  alterations: readonly UserScramCredentialAlteration[],
  options: AdminCallOptions,
): Promise<void> {
  const retry = callOptions(context, 'alterUserScramCredentials', options)
  const deletions = alterations.flatMap((row) => ('delete' in row ? [{ name: row.user, mechanism: mechanisms[row.mechanism].code }] : []))
  const upsertions = await Promise.all(
    alterations.flatMap((row) => ('delete' in row ? [] : [upsertionOf(row, row.salt ?? context.cluster.random.bytes(SALT_BYTES))])),
  )
  const userText = (user: string) => `user ${user}`
  const users = alterations.map(({ user }) => user)
  const outcomes = await perItem(context, users, retry, userText, (pending) =>
    askController(context, retry, async (connection) => {
      const isPending = ({ name }: { name: string }) => pending.includes(name)
      const request = { deletions: deletions.filter(isPending), upsertions: upsertions.filter(isPending) }
      const { results } = await connection.send(AlterUserScramCredentials, request)
      return new Map(results.map((row) => [row.user, outcomeOf(userText(row.user), row, () => undefined)]))
    }),
  )
  allOrThrow('alterUserScramCredentials', outcomes)
}

async function upsertionOf(row: Extract<UserScramCredentialAlteration, { readonly password: unknown }>, salt: Uint8Array) {
  const { user, mechanism, password, iterations = DEFAULT_ITERATIONS } = row
  const { code, digest, bytes } = mechanisms[mechanism]
  // RFC 5802's Hi(). Kafka's tools do not normalise passwords, and a client's must come to the same bytes.
  const saltedPassword = await deriveKey(password, salt, iterations, bytes, digest)
  return { name: user, mechanism: code, iterations, salt: Buffer.from(salt), saltedPassword }
}
