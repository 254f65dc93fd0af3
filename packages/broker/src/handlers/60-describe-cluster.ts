import { DescribeCluster, errorTable, type ResponseInput } from '@tidelog/protocol'
import { authorizedOperations, clusterName } from '../authorized-operations.ts'
import { defineHandler } from '../define-handler.ts'
import { reachableBrokers } from '../partition-metadata.ts'

const BROKERS = 1
const CONTROLLERS = 2

/** The cluster's id, its controller and the brokers as seen from the client's listener. KIP-700; KIP-919 (v1: what kind of endpoint). */
export const describeCluster = defineHandler(DescribeCluster, ({ endpointType, includeClusterAuthorizedOperations }, context) => {
  const { image } = context.broker
  const refused = (error: keyof typeof errorTable, errorMessage: string): ResponseInput<typeof DescribeCluster> => ({
    // Version 0 has no kinds of endpoint to be wrong about.
    errorCode: (context.apiVersion === 0 ? errorTable.INVALID_REQUEST : errorTable[error]).code,
    errorMessage,
    clusterId: '',
    brokers: [],
  })
  if (endpointType !== BROKERS && endpointType !== CONTROLLERS) {
    return refused('UNSUPPORTED_ENDPOINT_TYPE', `Unsupported endpoint type ${endpointType}`)
  }
  if (endpointType === CONTROLLERS) {
    return refused(
      'MISMATCHED_ENDPOINT_TYPE',
      'The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER',
    )
  }
  const brokers = reachableBrokers(image, context.connection.listenerName)
  const mayDescribe = includeClusterAuthorizedOperations && context.isAuthorized('Describe', 'Cluster', clusterName)
  return {
    errorCode: 0,
    endpointType: BROKERS,
    clusterId: image.clusterId,
    controllerId: brokers.some(({ id }) => id === image.controllerId) ? image.controllerId : -1,
    brokers: brokers.map(({ id, ...node }) => ({ brokerId: id, ...node, isFenced: false })),
    ...(includeClusterAuthorizedOperations
      ? { clusterAuthorizedOperations: mayDescribe ? authorizedOperations(context, 'Cluster', clusterName) : 0 }
      : {}),
  }
})
