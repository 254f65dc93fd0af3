import { defineData } from '../schema/define.ts'
import { array, bytes, int32, nullable, since, string } from '../schema/types.ts'

/** Protocol type of groups whose members are consumers; other types (`connect`, `sr`) put what they like into the same bytes. */
export const CONSUMER_PROTOCOL_TYPE = 'consumer'

/**
 * What a consumer tells its group's leader, in the metadata of JoinGroup. Starts with an int16 version. Every version begins with the fields
 * of version 0, so that an old reader takes what it knows. KIP-429 (v1: owned partitions), KIP-792 (v2: generation), KIP-881 (v3: rack).
 */
export const consumerProtocolSubscription = defineData({
  versions: [0, 3],
  fields: {
    topics: array(string),
    userData: nullable(bytes),
    ownedPartitions: since(1, array({ topic: string, partitions: array(int32) }), []),
    generationId: since(2, int32, -1),
    rackId: since(3, nullable(string), null),
  },
})

/** What the leader decides for one member, in the assignment of SyncGroup. Starts with an int16 version; all versions are the same. */
export const consumerProtocolAssignment = defineData({
  versions: [0, 3],
  fields: {
    assignedPartitions: array({ topic: string, partitions: array(int32) }),
    userData: nullable(bytes),
  },
})
