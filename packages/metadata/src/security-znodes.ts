/**
 * Where users, ACLs, quotas and delegation tokens lie in the store and how they are written: the paths and JSON of Kafka 3.9 in ZooKeeper mode.
 * Source: kafka.zk.ZkData and kafka.security.authorizer.AclEntry of Kafka 3.9; KIP-84 (SCRAM), KIP-257 (quotas), KIP-290 (prefixed ACLs), KIP-48 (tokens).
 */

export const DELEGATION_TOKENS = '/delegation_token/tokens'

/** By their codes on the wire. Source: ResourceType, AclOperation, AclPermissionType. */
const RESOURCE_TYPES = ['', '', 'Topic', 'Group', 'Cluster', 'TransactionalId', 'DelegationToken', 'User']
const OPERATIONS = [
  ...['', '', 'All', 'Read', 'Write', 'Create', 'Delete', 'Alter', 'Describe', 'ClusterAction', 'DescribeConfigs', 'AlterConfigs'],
  ...['IdempotentWrite', 'CreateTokens', 'DescribeTokens', 'TwoPhaseCommit'],
]
const PERMISSIONS = ['', '', 'Deny', 'Allow']
const LITERAL = 3
const PREFIXED = 4
const SCRAM_MECHANISMS = ['', 'SCRAM-SHA-256', 'SCRAM-SHA-512']

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))

function nameOf(kind: string, names: readonly string[], code: number): string {
  const name = names[code]
  if (name === undefined || name === '') throw new Error(`${kind} ${code} is unknown`)
  return name
}

/** Besides `%` and `/`, what the store refuses in a path, as ZooKeeper does. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is escaped
const NOT_IN_A_PATH = /[%/\u0000-\u001f\u007f-\u009f\ue000-\uf8ff\ufff0-\uffff\u{10000}-\u{10ffff}]/gu

/** A name of a user, client, group or the like as part of a path. Source: org.apache.kafka.common.utils.Sanitizer. */
export function sanitize(name: string): string {
  const percent = (char: string) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`
  return encodeURIComponent(name).replace(/[!~*'()]/g, percent)
}

/** What `sanitize` was given. */
export const desanitize = (name: string): string => decodeURIComponent(name)

/**
 * Where the ACLs of one resource lie.
 * Kafka's ZooKeeper mode takes resource names as they are and so cannot have all that KRaft allows (a group `team/a`): here what a path cannot hold, and
 * `%`, is escaped as in a URL.
 * @throws Error for a resource or pattern type that is unknown
 */
export function aclPath({
  resourceType,
  patternType,
  resourceName,
}: {
  resourceType: number
  patternType: number
  resourceName: string
}): string {
  const type = nameOf('the resource type', RESOURCE_TYPES, resourceType)
  const isDots = resourceName === '.' || resourceName === '..'
  const name = isDots ? resourceName.replaceAll('.', '%2E') : resourceName.replace(NOT_IN_A_PATH, encodeURIComponent)
  if (patternType === LITERAL) return `/kafka-acl/${type}/${name}`
  if (patternType === PREFIXED) return `/kafka-acl-extended/prefixed/${type}/${name}`
  throw new Error(`the pattern type ${patternType} is unknown`)
}

/** Who may, or may not, do what with a resource; types are their codes on the wire. */
export interface AclEntry {
  readonly principal: string
  readonly host: string
  readonly operation: number
  readonly permissionType: number
}

/** All ACLs of one resource, version 1. @throws Error for an operation or permission that is unknown */
export function encodeAcls(acls: readonly AclEntry[]): Buffer {
  return json({
    version: 1,
    acls: acls.map(({ principal, host, operation, permissionType }) => ({
      principal,
      permissionType: nameOf('the permission type', PERMISSIONS, permissionType),
      operation: nameOf('the operation', OPERATIONS, operation),
      host,
    })),
  })
}

/** A user's credential as an entry of its configurations. @throws Error for an unknown mechanism */
export function scramConfig(credential: {
  readonly mechanism: number
  readonly salt: Buffer
  readonly storedKey: Buffer
  readonly serverKey: Buffer
  readonly iterations: number
}): [name: string, text: string] {
  const { mechanism, salt, storedKey, serverKey, iterations } = credential
  const [saltText, storedText, serverText] = [salt, storedKey, serverKey].map((bytes) => bytes.toString('base64'))
  return [
    nameOf('the SCRAM mechanism', SCRAM_MECHANISMS, mechanism),
    `salt=${saltText},stored_key=${storedText},server_key=${serverText},iterations=${iterations}`,
  ]
}

/** Quotas that are fractions; the others are whole numbers. Source: QuotaConfig. */
const FRACTIONAL_QUOTAS: ReadonlySet<string> = new Set(['request_percentage', 'controller_mutation_rate'])

/** A quota as an entry of an entity's configurations, as Java writes the number. */
export function quotaConfig(key: string, value: number): [name: string, text: string] {
  return [key, FRACTIONAL_QUOTAS.has(key) && Number.isInteger(value) ? value.toFixed(1) : String(value)]
}

/** Version 3. */
export function encodeDelegationToken(token: {
  readonly owner: string
  readonly requester: string
  readonly renewers: readonly string[]
  readonly issueTimestamp: number
  readonly maxTimestamp: number
  readonly expirationTimestamp: number
  readonly tokenId: string
}): Buffer {
  return json({
    version: 3,
    owner: token.owner,
    tokenRequester: token.requester,
    renewers: token.renewers,
    issueTimestamp: token.issueTimestamp,
    maxTimestamp: token.maxTimestamp,
    expiryTimestamp: token.expirationTimestamp,
    tokenId: token.tokenId,
  })
}
