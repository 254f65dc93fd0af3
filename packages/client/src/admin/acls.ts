import { CreateAcls, DeleteAcls, DescribeAcls } from '@tidelog/protocol'
import { checkErrorCode, PartialFailureError, UnsupportedVersionError } from '../errors.ts'
import { type AclOperation, operationCode, operationOf } from './acl-operations.ts'
import { type AdminCallOptions, type AdminContext, callOptions } from './admin-client.ts'
import { askController, outcomeOf, perItem } from './per-item.ts'
import { allOrThrow } from './results.ts'

/** By Kafka's code. */
const resourceTypes = ['unknown', 'any', 'topic', 'group', 'cluster', 'transactional-id', 'delegation-token', 'user'] as const
const patternTypes = ['unknown', 'any', 'match', 'literal', 'prefixed'] as const
const permissionTypes = ['unknown', 'any', 'deny', 'allow'] as const
/** What kind of resource it is about. */
export type AclResourceType = (typeof resourceTypes)[number]
/** How `resourceName` is read. `any` and `match` are for filters: every pattern, or every one that applies to that name. */
export type AclPatternType = (typeof patternTypes)[number]
/** Whether it is allowed or denied; a denial counts for more. */
export type AclPermissionType = (typeof permissionTypes)[number]

/** Who may, or may not, do what with which resources. */
export interface AclBinding {
  readonly resourceType: Exclude<AclResourceType, 'any'>
  /** `kafka-cluster` is the cluster's; `*` stands for all when the pattern is literal. */
  readonly resourceName: string
  /** `prefixed`: every resource whose name starts with `resourceName`. KIP-290. */
  readonly patternType: Exclude<AclPatternType, 'any' | 'match'>
  /** `User:alice`; `User:*` is everybody. */
  readonly principal: string
  /** An IP address, or `*`. */
  readonly host: string
  readonly operation: Exclude<AclOperation, 'any'>
  readonly permissionType: Exclude<AclPermissionType, 'any'>
}

/** What is absent matches everything. */
export interface AclFilter {
  readonly resourceType?: AclResourceType | undefined
  readonly resourceName?: string | undefined
  /** `match`: every pattern that concerns `resourceName`, whether by its name, a prefix of it or `*`. */
  readonly patternType?: AclPatternType | undefined
  readonly principal?: string | undefined
  readonly host?: string | undefined
  readonly operation?: AclOperation | undefined
  readonly permissionType?: AclPermissionType | undefined
}

/** Pattern types came with version 1: before, everything was literal. */
const OLDEST_WITH_PATTERNS = 1
const codeOf = <T extends string>(names: readonly T[], name: T): number => names.indexOf(name)
const nameOf = <T extends string>(names: readonly T[], code: number): T => names[code] ?? names[0]!

const bindingText = ({ permissionType, principal, operation, resourceType, resourceName, patternType, host }: AclBinding): string =>
  `${permissionType} ${principal} from ${host} to ${operation} ${patternType} ${resourceType} ${resourceName}`
const filterText = (filter: AclFilter): string => `filter ${JSON.stringify(filter)}`

function filterRow(filter: AclFilter, version: number) {
  const { resourceType = 'any', patternType = 'any', operation = 'any', permissionType = 'any' } = filter
  if (version < OLDEST_WITH_PATTERNS && patternType === 'prefixed') throw new UnsupportedVersionError('the broker has no prefixed patterns')
  return {
    resourceTypeFilter: codeOf(resourceTypes, resourceType),
    resourceNameFilter: filter.resourceName ?? null,
    patternTypeFilter: codeOf(patternTypes, patternType),
    principalFilter: filter.principal ?? null,
    hostFilter: filter.host ?? null,
    operation: operationCode(operation),
    permissionType: codeOf(permissionTypes, permissionType),
  }
}

interface AclRow {
  readonly principal: string
  readonly host: string
  readonly operation: number
  readonly permissionType: number
}

function bindingOf(resource: { resourceType: number; resourceName: string; patternType: number }, acl: AclRow): AclBinding {
  return {
    resourceType: nameOf(resourceTypes, resource.resourceType) as AclBinding['resourceType'],
    resourceName: resource.resourceName,
    patternType: nameOf(patternTypes, resource.patternType) as AclBinding['patternType'],
    principal: acl.principal,
    host: acl.host,
    operation: operationOf(acl.operation) as AclBinding['operation'],
    permissionType: nameOf(permissionTypes, acl.permissionType) as AclBinding['permissionType'],
  }
}

export async function createAcls(context: AdminContext, bindings: readonly AclBinding[], options: AdminCallOptions): Promise<void> {
  const retry = callOptions(context, 'createAcls', options)
  const outcomes = await perItem(context, bindings, retry, bindingText, (pending) =>
    askController(context, retry, async (connection) => {
      const response = await connection.send(CreateAcls, (version) => ({
        creations: pending.map((binding) => {
          if (version < OLDEST_WITH_PATTERNS && binding.patternType !== 'literal')
            throw new UnsupportedVersionError('the broker has no prefixed patterns')
          return {
            resourceType: codeOf(resourceTypes, binding.resourceType),
            resourceName: binding.resourceName,
            resourcePatternType: codeOf(patternTypes, binding.patternType),
            principal: binding.principal,
            host: binding.host,
            operation: operationCode(binding.operation),
            permissionType: codeOf(permissionTypes, binding.permissionType),
          }
        }),
      }))
      // The answers stand in the order of the requests.
      return new Map(
        pending.flatMap((binding, index) => {
          const row = response.results[index]
          return row === undefined ? [] : [[binding, outcomeOf(bindingText(binding), row, () => undefined)] as const]
        }),
      )
    }),
  )
  allOrThrow(
    'createAcls',
    [...outcomes].map(([binding, outcome]) => [bindingText(binding), outcome] as const),
  )
}

export function describeAcls(context: AdminContext, filter: AclFilter, options: AdminCallOptions): Promise<AclBinding[]> {
  const retry = callOptions(context, 'describeAcls', options)
  return context.cluster.retry(retry, async () => {
    const connection = await context.cluster.anyConnection(retry)
    const response = await connection.send(DescribeAcls, (version) => filterRow(filter, version))
    checkErrorCode(response.errorCode, 'describeAcls', response.errorMessage)
    return response.resources.flatMap((resource) => resource.acls.map((acl) => bindingOf(resource, acl)))
  })
}

export async function deleteAcls(context: AdminContext, filters: readonly AclFilter[], options: AdminCallOptions): Promise<AclBinding[][]> {
  const retry = callOptions(context, 'deleteAcls', options)
  const outcomes = await perItem(context, filters, retry, filterText, (pending) =>
    askController(context, retry, async (connection) => {
      const response = await connection.send(DeleteAcls, (version) => ({ filters: pending.map((filter) => filterRow(filter, version)) }))
      return new Map(
        pending.flatMap((filter, index) => {
          const row = response.filterResults[index]
          return row === undefined ? [] : [[filter, outcomeOf(filterText(filter), row, () => row.matchingAcls)] as const]
        }),
      )
    }),
  )
  const matches = allOrThrow(
    'deleteAcls',
    [...outcomes].map(([filter, outcome]) => [filterText(filter), outcome] as const),
  )
  const deleted = matches.map((acls) => acls.map((acl) => [bindingOf(acl, acl), acl] as const))
  const outcomesOfBindings = deleted.flat().map(([binding, row]) => {
    const name = bindingText(binding)
    return [name, outcomeOf(name, row, () => name)] as const
  })
  // That a binding could not be deleted is never the failure of the one thing that was asked for, which is a filter.
  const failures = outcomesOfBindings.flatMap(([name, { error }]) => (error === undefined ? [] : [[name, error] as const]))
  if (failures.length > 0) {
    const succeeded = outcomesOfBindings.flatMap(([, { value }]) => (value === undefined ? [] : [value]))
    throw new PartialFailureError('deleteAcls', new Map(failures), succeeded)
  }
  return deleted.map((acls) => acls.map(([binding]) => binding))
}
