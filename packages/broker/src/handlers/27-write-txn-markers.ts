import { WriteTxnMarkers } from '@tidelog/protocol'
import { defineHandler, errorCodeOf } from '../define-handler.ts'
import type { RequestContext } from '../request-context.ts'

/**
 * Ends transactions in partitions that this broker leads, as their coordinator decided, or an administrator for one that hangs. Source: KIP-98,
 * KIP-664 (who may alter the cluster may, too).
 */
export const writeTxnMarkers = defineHandler(
  WriteTxnMarkers,
  async ({ markers }, context) => {
    if (!context.isAuthorized('Alter', 'Cluster', 'kafka-cluster')) context.authorize('ClusterAction', 'Cluster', 'kafka-cluster')
    return {
      markers: await Promise.all(
        markers.map(async ({ producerId, producerEpoch, coordinatorEpoch, transactionResult, transactionVersion, topics }) => ({
          producerId,
          topics: await Promise.all(
            topics.map(async ({ name, partitionIndexes }) => ({
              name,
              partitions: await Promise.all(
                partitionIndexes.map(async (partitionIndex) => ({
                  partitionIndex,
                  errorCode: await codeOf(context, () =>
                    context.broker.markerWriter.write(name, partitionIndex, {
                      producerId,
                      producerEpoch,
                      coordinatorEpoch,
                      committed: transactionResult,
                      transactionVersion,
                    }),
                  ),
                })),
              ),
            })),
          ),
        })),
      ),
    }
  },
  {
    errorResponse: ({ markers }, errorCode) => ({
      markers: markers.map(({ producerId, topics }) => ({
        producerId,
        topics: topics.map(({ name, partitionIndexes }) => ({
          name,
          partitions: partitionIndexes.map((partitionIndex) => ({ partitionIndex, errorCode })),
        })),
      })),
    }),
  },
)

async function codeOf(context: RequestContext, work: () => Promise<void>): Promise<number> {
  try {
    await work()
    return 0
  } catch (error) {
    return errorCodeOf(error, context).errorCode
  }
}
