import { CONSUMER_OFFSETS_TOPIC } from '@tidelog/metadata'
import { AddOffsetsToTxn } from '@tidelog/protocol'
import { defineHandler } from '../define-handler.ts'
import { knownFencing } from '../transactions/producer-fenced.ts'

const FIRST_VERSION_WITH_PRODUCER_FENCED = 2

/** Adds the partition that has a group's offsets to a transaction. Source: KIP-98. */
export const addOffsetsToTxn = defineHandler(AddOffsetsToTxn, async ({ transactionalId, producerId, producerEpoch, groupId }, context) => {
  const { groups, transactions } = context.broker
  context.authorize('Write', 'TransactionalId', transactionalId)
  context.authorize('Read', 'Group', groupId)
  const partitions = [{ topic: CONSUMER_OFFSETS_TOPIC, partition: groups.partitionOf(groupId) }]
  try {
    await transactions.addPartitions({ transactionalId, producerId, producerEpoch, partitions }, 0)
    return { errorCode: 0 }
  } catch (error) {
    throw knownFencing(error, context.apiVersion, FIRST_VERSION_WITH_PRODUCER_FENCED)
  }
})
