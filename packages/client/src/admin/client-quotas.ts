import { AlterClientQuotas, DescribeClientQuotas } from '@tidelog/protocol'
import { checkErrorCode } from '../errors.ts'
import { type AdminCallOptions, type AdminContext, callOptions, type ValidateOnly } from './admin-client.ts'
import { askController, outcomeOf, perItem } from './per-item.ts'
import { allOrThrow } from './results.ts'

/** By what a client is known. */
export type ClientQuotaEntityType = 'user' | 'client-id' | 'ip'

/** Whom a quota concerns: a user, a client id, both together, or an address. null is the default for those that have no quota of their own. */
export type ClientQuotaEntity = { readonly [K in ClientQuotaEntityType]?: string | null }

/** One part of an entity that must match. */
export interface ClientQuotaFilterComponent {
  readonly entityType: ClientQuotaEntityType
  /** The entity of this name, the default entity, or all that have this type. */
  readonly match: { readonly name: string } | 'default' | 'any'
}

/** Which entities are asked for. */
export interface ClientQuotaFilter {
  /** All must match; none matches everything. */
  readonly components: readonly ClientQuotaFilterComponent[]
  /** Leave out entities that have further types than the components name. */
  readonly strict?: boolean
}

/** The quotas of one entity. */
export interface ClientQuotas {
  readonly entity: ClientQuotaEntity
  /** By Kafka's key: `producer_byte_rate`, `consumer_byte_rate`, `request_percentage`, `controller_mutation_rate`, `connection_creation_rate`. */
  readonly quotas: ReadonlyMap<string, number>
}

/** What changes of the quotas of one entity. */
export interface ClientQuotaAlteration {
  readonly entity: ClientQuotaEntity
  /** null removes the quota. */
  readonly ops: readonly { readonly key: string; readonly value: number | null }[]
}

const matchTypes = { exact: 0, default: 1, any: 2 } as const

const entityRows = (entity: ClientQuotaEntity) =>
  Object.entries(entity).flatMap(([entityType, entityName]) => (entityName === undefined ? [] : [{ entityType, entityName }]))

const entityOf = (rows: readonly { readonly entityType: string; readonly entityName: string | null }[]): ClientQuotaEntity =>
  Object.fromEntries(rows.map(({ entityType, entityName }) => [entityType, entityName]))

/** The same for two descriptions of one entity. */
const entityText = (entity: ClientQuotaEntity): string =>
  entityRows(entity)
    .map(({ entityType, entityName }) => `${entityType} ${entityName ?? '<default>'}`)
    .sort()
    .join(', ')

export function describeClientQuotas(
  context: AdminContext,
  { components, strict = false }: ClientQuotaFilter,
  options: AdminCallOptions,
): Promise<ClientQuotas[]> {
  const retry = callOptions(context, 'describeClientQuotas', options)
  return context.cluster.retry(retry, async () => {
    const connection = await context.cluster.anyConnection(retry)
    const response = await connection.send(DescribeClientQuotas, {
      components: components.map(({ entityType, match }) =>
        typeof match === 'object'
          ? { entityType, matchType: matchTypes.exact, match: match.name }
          : { entityType, matchType: matchTypes[match], match: null },
      ),
      strict,
    })
    checkErrorCode(response.errorCode, 'describeClientQuotas', response.errorMessage)
    return (response.entries ?? []).map(({ entity, values }) => ({
      entity: entityOf(entity),
      quotas: new Map(values.map(({ key, value }) => [key, value])),
    }))
  })
}

export async function alterClientQuotas(
  context: AdminContext,
  alterations: readonly ClientQuotaAlteration[],
  { validateOnly = false, ...options }: ValidateOnly,
): Promise<void> {
  const retry = callOptions(context, 'alterClientQuotas', options)
  const textOf = ({ entity }: ClientQuotaAlteration) => `quotas of ${entityText(entity)}`
  const outcomes = await perItem(context, alterations, retry, textOf, (pending) =>
    askController(context, retry, async (connection) => {
      const { entries } = await connection.send(AlterClientQuotas, {
        entries: pending.map(({ entity, ops }) => ({
          entity: entityRows(entity),
          ops: ops.map(({ key, value }) => ({ key, value: value ?? 0, remove: value === null })),
        })),
        validateOnly,
      })
      const rows = new Map(entries.map((row) => [entityText(entityOf(row.entity)), row]))
      return new Map(
        pending.flatMap((alteration) => {
          const row = rows.get(entityText(alteration.entity))
          return row === undefined ? [] : [[alteration, outcomeOf(textOf(alteration), row, () => undefined)] as const]
        }),
      )
    }),
  )
  allOrThrow(
    'alterClientQuotas',
    [...outcomes].map(([alteration, outcome]) => [textOf(alteration), outcome] as const),
  )
}
