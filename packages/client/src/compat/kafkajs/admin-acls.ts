import type { AclOperation } from '../../admin/acl-operations.ts'
import type { AclBinding, AclPatternType, AclPermissionType, AclResourceType, AclFilter as OurFilter } from '../../admin/acls.ts'
import { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } from './enums.ts'
import { KafkaJSNonRetriableError } from './errors.ts'
import type { Link } from './link.ts'
import type { Admin, AdminEventsByName } from './types-admin.ts'
import type { AclEntry, AclFilter, DeleteAclResponse, DescribeAclResource, DescribeAclResponse } from './types-admin-requests.ts'

/** Our names by kafkajs's numbers: kafkajs's own names in another spelling. */
function namesOf<T extends string>(numbers: object): ReadonlyMap<number, T> {
  return new Map(Object.entries<number>({ ...numbers }).map(([name, number]) => [number, name.toLowerCase().replaceAll('_', '-') as T]))
}
const operations = namesOf<AclOperation>(AclOperationTypes)
const permissions = namesOf<AclPermissionType>(AclPermissionTypes)
const resourceTypes = namesOf<AclResourceType>(AclResourceTypes)
const patternTypes = namesOf<AclPatternType>(ResourcePatternTypes)

function numberOf<N extends number>(names: ReadonlyMap<number, string>, name: string): N {
  for (const [number, known] of names) if (known === name) return number as N
  // UNKNOWN: what came after kafkajs.
  return 0 as N
}

/** @throws KafkaJSNonRetriableError for a number that the enumeration has not */
function check(entry: Pick<AclFilter, 'operation' | 'permissionType' | 'resourceType' | 'resourcePatternType'>): void {
  const known = (what: string, names: ReadonlyMap<number, string>, number: number) => {
    if (!names.has(number)) throw new KafkaJSNonRetriableError(`${number} is no ${what}: ${JSON.stringify(entry)}`)
  }
  known('operation', operations, entry.operation)
  known('type of pattern', patternTypes, entry.resourcePatternType)
  known('permission', permissions, entry.permissionType)
  known('type of resource', resourceTypes, entry.resourceType)
}

function checkTexts(entry: Partial<Pick<AclEntry, 'principal' | 'host' | 'resourceName'>>, mayBeMissing: boolean): void {
  for (const name of ['principal', 'host', 'resourceName'] as const) {
    const value = entry[name]
    if (typeof value !== 'string' && !(mayBeMissing && value === undefined))
      throw new KafkaJSNonRetriableError(`${name} must be a text, and not ${value}`)
  }
}

function bindingOf(entry: AclEntry): AclBinding {
  return {
    resourceType: resourceTypes.get(entry.resourceType) as AclBinding['resourceType'],
    resourceName: entry.resourceName,
    patternType: patternTypes.get(entry.resourcePatternType) as AclBinding['patternType'],
    principal: entry.principal,
    host: entry.host,
    operation: operations.get(entry.operation) as AclBinding['operation'],
    permissionType: permissions.get(entry.permissionType) as AclBinding['permissionType'],
  }
}

const filterOf = (filter: AclFilter): OurFilter => ({
  resourceType: resourceTypes.get(filter.resourceType),
  resourceName: filter.resourceName,
  patternType: patternTypes.get(filter.resourcePatternType),
  principal: filter.principal,
  host: filter.host,
  operation: operations.get(filter.operation),
  permissionType: permissions.get(filter.permissionType),
})

const entryOf = (binding: AclBinding): AclEntry => ({
  resourceType: numberOf(resourceTypes, binding.resourceType),
  resourceName: binding.resourceName,
  resourcePatternType: numberOf(patternTypes, binding.patternType),
  principal: binding.principal,
  host: binding.host,
  operation: numberOf(operations, binding.operation),
  permissionType: numberOf(permissions, binding.permissionType),
})

/** ACLs of kafkajs's Admin. */
export class AdminAcls {
  readonly #link: Link<AdminEventsByName>

  constructor(link: Link<AdminEventsByName>) {
    this.#link = link
  }

  /** @throws KafkaJSProtocolError of the first that has one */
  async create({ acl }: Parameters<Admin['createAcls']>[0]): Promise<boolean> {
    if (!Array.isArray(acl) || acl.length === 0) throw new KafkaJSNonRetriableError('acl must be an array that is not empty')
    for (const entry of acl) {
      checkTexts(entry, false)
      check(entry)
    }
    await this.#link.once(() => this.#link.admin.createAcls(acl.map(bindingOf)))
    return true
  }

  async describe(filter: AclFilter): Promise<DescribeAclResponse> {
    checkTexts(filter, true)
    check(filter)
    const bindings = await this.#link.once(() => this.#link.admin.describeAcls(filterOf(filter)))
    const resources = new Map<string, DescribeAclResource>()
    for (const { resourceType, resourceName, resourcePatternType, ...acl } of bindings.map(entryOf)) {
      const key = JSON.stringify([resourceType, resourceName, resourcePatternType])
      const resource = resources.get(key) ?? { resourceType, resourceName, resourcePatternType, acls: [] }
      resources.set(key, resource)
      resource.acls.push(acl)
    }
    return { resources: [...resources.values()] } as DescribeAclResponse
  }

  /** @throws KafkaJSProtocolError of the first that has one */
  async delete({ filters }: Parameters<Admin['deleteAcls']>[0]): Promise<DeleteAclResponse> {
    if (!Array.isArray(filters) || filters.length === 0) throw new KafkaJSNonRetriableError('filters must be an array that is not empty')
    for (const filter of filters) {
      checkTexts(filter, true)
      check(filter)
    }
    const deleted = await this.#link.once(() => this.#link.admin.deleteAcls(filters.map(filterOf)))
    const noError = { errorCode: 0, errorMessage: null as unknown as string }
    return {
      filterResponses: deleted.map((bindings) => ({
        ...noError,
        matchingAcls: bindings.map((binding) => ({ ...noError, ...entryOf(binding) })),
      })),
    } as DeleteAclResponse
  }
}
