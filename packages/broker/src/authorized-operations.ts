import type { AclOperation, AclResourceType, RequestContext } from './request-context.ts'

/** Bit of each operation. Source: org.apache.kafka.common.acl.AclOperation, KIP-430. */
const bits: Readonly<Record<AclOperation, number>> = {
  Read: 3,
  Write: 4,
  Create: 5,
  Delete: 6,
  Alter: 7,
  Describe: 8,
  ClusterAction: 9,
  DescribeConfigs: 10,
  AlterConfigs: 11,
  IdempotentWrite: 12,
}

const operationsOn = {
  Topic: ['Read', 'Write', 'Create', 'Delete', 'Alter', 'Describe', 'DescribeConfigs', 'AlterConfigs'],
  Cluster: ['Create', 'Alter', 'Describe', 'ClusterAction', 'DescribeConfigs', 'AlterConfigs', 'IdempotentWrite'],
  Group: ['Read', 'Delete', 'Describe', 'DescribeConfigs', 'AlterConfigs'],
} as const satisfies Partial<Record<AclResourceType, readonly AclOperation[]>>

/** The resource name of the cluster itself. */
export const clusterName = 'kafka-cluster'

/** What the sender of a request may do with a resource, one bit an operation. Answered only when asked for: it costs a question each. */
export function authorizedOperations(context: RequestContext, type: keyof typeof operationsOn, name: string): number {
  let field = 0
  for (const operation of operationsOn[type]) if (context.isAuthorized(operation, type, name)) field |= 1 << bits[operation]
  return field
}
