/** What may be allowed or denied, by Kafka's code; 0 stands for one of a newer broker. */
const operations = [
  'unknown',
  'any',
  'all',
  'read',
  'write',
  'create',
  'delete',
  'alter',
  'describe',
  'cluster-action',
  'describe-configs',
  'alter-configs',
  'idempotent-write',
  'create-tokens',
  'describe-tokens',
  'two-phase-commit',
] as const
/** What is allowed or denied. */
export type AclOperation = (typeof operations)[number]

export const operationCode = (operation: AclOperation): number => operations.indexOf(operation)
export const operationOf = (code: number): AclOperation => operations[code] ?? 'unknown'

/** The field of a broker that was not asked, or is too old to say. */
const NOT_SAID = -2_147_483_648

/** @param bits 1 << code of each operation. KIP-430. @returns undefined where the broker does not say. */
export function operationsOf(bits: number): AclOperation[] | undefined {
  if (bits === NOT_SAID) return undefined
  return operations.filter((_, code) => code >= FIRST_SINGLE_OPERATION && (bits & (1 << code)) !== 0)
}
const FIRST_SINGLE_OPERATION = operations.indexOf('read')
