import { KafkaError } from '@tidelog/protocol'
import { errorCodeOf } from '../define-handler.ts'
import type { RequestContext } from '../request-context.ts'
import { type ConfigResource, ConfigResourceType } from './config-service.ts'

/** One row of AlterConfigs or IncrementalAlterConfigs, as far as both are alike. */
export interface AlterationRow {
  readonly resourceType: number
  readonly resourceName: string
  readonly configs: readonly { readonly name: string; readonly value: string | null }[]
}

export interface AlterationResult {
  readonly errorCode: number
  readonly errorMessage: string | null
  readonly resourceType: number
  readonly resourceName: string
}

/** @throws KafkaError TOPIC_, GROUP_ or CLUSTER_AUTHORIZATION_FAILED */
function authorizeAlter({ type, name }: ConfigResource, context: RequestContext): void {
  if (type === ConfigResourceType.topic) context.authorize('AlterConfigs', 'Topic', name)
  else if (type === ConfigResourceType.group) context.authorize('AlterConfigs', 'Group', name)
  else context.authorize('AlterConfigs', 'Cluster', 'kafka-cluster')
}

/** What is wrong with a row whatever its values. Source: kafka.server.ConfigAdminManager. */
function checkRow({ configs }: AlterationRow, needsValue: (index: number) => boolean): void {
  const withoutValue = configs.filter(({ value }, index) => value === null && needsValue(index)).map(({ name }) => name)
  if (withoutValue.length > 0) throw new KafkaError('INVALID_REQUEST', `Null value not supported for : ${withoutValue.join(',')}`)
  if (new Set(configs.map(({ name }) => name)).size < configs.length)
    throw new KafkaError('INVALID_REQUEST', 'Error due to duplicate config keys')
}

/**
 * Alters row after row, in order. A row that fails has its error and changes nothing, the others carry on; a resource that stands
 * twice in a request is refused in every place.
 */
export async function alterRows<Row extends AlterationRow>(
  rows: readonly Row[],
  context: RequestContext,
  { needsValue, alter }: { needsValue: (row: Row, index: number) => boolean; alter: (row: Row, resource: ConfigResource) => Promise<void> },
): Promise<AlterationResult[]> {
  const times = new Map<string, number>()
  const keyOf = ({ resourceType, resourceName }: Row) => `${resourceType} ${resourceName}`
  for (const row of rows) times.set(keyOf(row), (times.get(keyOf(row)) ?? 0) + 1)
  const results: AlterationResult[] = []
  for (const row of rows) {
    const { resourceType, resourceName } = row
    try {
      if (times.get(keyOf(row))! > 1) throw new KafkaError('INVALID_REQUEST', 'Each resource must appear at most once.')
      checkRow(row, (index) => needsValue(row, index))
      const resource = { type: resourceType, name: resourceName }
      authorizeAlter(resource, context)
      await alter(row, resource)
      results.push({ errorCode: 0, errorMessage: null, resourceType, resourceName })
    } catch (error) {
      results.push({ ...errorCodeOf(error, context), resourceType, resourceName })
    }
  }
  return results
}

/** Every row with one error: for what fails before a row is looked at. */
export function failedRows(rows: readonly AlterationRow[], errorCode: number, errorMessage: string | null): AlterationResult[] {
  return rows.map(({ resourceType, resourceName }) => ({ errorCode, errorMessage, resourceType, resourceName }))
}
