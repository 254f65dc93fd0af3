import { ByteReader, ByteWriter } from '@tidelog/core'
import {
  type ConsumerGroupMemberMetadataValue,
  consumerGroupCurrentMemberAssignmentKey,
  consumerGroupCurrentMemberAssignmentValue,
  consumerGroupMemberMetadataKey,
  consumerGroupMemberMetadataValue,
  consumerGroupMetadataKey,
  consumerGroupMetadataValue,
  consumerGroupPartitionMetadataKey,
  consumerGroupRegularExpressionKey,
  consumerGroupRegularExpressionValue,
  consumerGroupTargetAssignmentMemberKey,
  consumerGroupTargetAssignmentMemberValue,
  consumerGroupTargetAssignmentMetadataKey,
  consumerGroupTargetAssignmentMetadataValue,
  type DataInput,
  type DataOf,
  type Fields,
  type Schema,
} from '@tidelog/protocol'
import { type Assignment, type ConsumerMember, type MemberState, type OwnedPartitions, toTopicPartitions } from './consumer-member.ts'

/**
 * What a group of the consumer protocol keeps in __consumer_offsets; a null value is a tombstone. The number is the key's version, which is
 * the record's type. Every value has version 0.
 */
export type ConsumerRecord =
  /** 3: the group. */
  | { readonly kind: 'consumer-group'; readonly group: string; readonly value: GroupEpoch | null }
  /** 4: the topics, as Kafka before 4.1 kept them. Never written here, save to delete it. */
  | { readonly kind: 'consumer-topics'; readonly group: string; readonly value: 'kept' | null }
  /** 5: a member and what it subscribes to. */
  | { readonly kind: 'consumer-member'; readonly group: string; readonly memberId: string; readonly value: MemberMetadata | null }
  /** 6: the epoch of the target assignment. */
  | { readonly kind: 'consumer-target'; readonly group: string; readonly value: TargetEpoch | null }
  /** 7: a member's part of the target assignment. */
  | { readonly kind: 'consumer-target-member'; readonly group: string; readonly memberId: string; readonly value: Assignment | null }
  /** 8: what a member has, and its epoch. */
  | { readonly kind: 'consumer-current'; readonly group: string; readonly memberId: string; readonly value: CurrentState | null }
  /** 16: the topics that a regular expression stands for. */
  | { readonly kind: 'consumer-regex'; readonly group: string; readonly regex: string; readonly value: ResolvedRegex | null }

export interface GroupEpoch {
  readonly epoch: number
  /** All 64 bits, signed. */
  readonly metadataHash: bigint
}
export type MemberMetadata = Pick<
  ConsumerMember,
  | 'instanceId'
  | 'rackId'
  | 'clientId'
  | 'clientHost'
  | 'subscribedTopicNames'
  | 'subscribedTopicRegex'
  | 'rebalanceTimeoutMs'
  | 'serverAssignor'
  | 'classic'
>
export interface TargetEpoch {
  readonly epoch: number
  /** Ms since the Unix epoch; 0 when it is not known. */
  readonly timestampMs: number
}
export type CurrentState = Pick<ConsumerMember, 'memberEpoch' | 'previousMemberEpoch' | 'state' | 'assigned' | 'pendingRevocation'>
export interface ResolvedRegex {
  readonly topics: ReadonlySet<string>
  /** Of the topics that it was matched with. */
  readonly version: number
  /** Ms since the Unix epoch. */
  readonly timestampMs: number
}

const stateCodes: Readonly<Record<MemberState, number>> = { STABLE: 0, UNREVOKED_PARTITIONS: 1, UNRELEASED_PARTITIONS: 2, UNKNOWN: 127 }
const statesByCode = new Map(Object.entries(stateCodes).map(([state, code]) => [code, state as MemberState]))

// --- writing -----------------------------------------------------------------------------------------------------------------------

function encode<F extends Fields>(schema: Schema<F>, version: number, value: DataInput<Schema<F>>): Buffer {
  const writer = new ByteWriter(128)
  writer.int16(version)
  schema.codec(version).write(writer, value as Parameters<ReturnType<typeof schema.codec>['write']>[1])
  return writer.toBuffer()
}

const encodeValue = <F extends Fields>(schema: Schema<F>, value: DataInput<Schema<F>> | null): Buffer | null =>
  value === null ? null : encode(schema, 0, value)

/** The key and value bytes under which a record is appended. */
export function encodeConsumerRecord(record: ConsumerRecord): { key: Buffer; value: Buffer | null } {
  const { group: groupId } = record
  switch (record.kind) {
    case 'consumer-group':
      return { key: encode(consumerGroupMetadataKey, 3, { groupId }), value: record.value && encodeGroupEpoch(record.value) }
    case 'consumer-topics':
      if (record.value !== null) throw new RangeError('topics of a consumer group are not written any more')
      return { key: encode(consumerGroupPartitionMetadataKey, 4, { groupId }), value: null }
    case 'consumer-member':
      return {
        key: encode(consumerGroupMemberMetadataKey, 5, { groupId, memberId: record.memberId }),
        value: encodeValue(consumerGroupMemberMetadataValue, record.value && memberToValue(record.value)),
      }
    case 'consumer-target':
      return {
        key: encode(consumerGroupTargetAssignmentMetadataKey, 6, { groupId }),
        value: encodeValue(
          consumerGroupTargetAssignmentMetadataValue,
          record.value && { assignmentEpoch: record.value.epoch, assignmentTimestamp: record.value.timestampMs },
        ),
      }
    case 'consumer-target-member':
      return {
        key: encode(consumerGroupTargetAssignmentMemberKey, 7, { groupId, memberId: record.memberId }),
        value: encodeValue(consumerGroupTargetAssignmentMemberValue, record.value && { topicPartitions: toTopicPartitions(record.value) }),
      }
    case 'consumer-current':
      return {
        key: encode(consumerGroupCurrentMemberAssignmentKey, 8, { groupId, memberId: record.memberId }),
        value: encodeValue(
          consumerGroupCurrentMemberAssignmentValue,
          record.value && {
            memberEpoch: record.value.memberEpoch,
            previousMemberEpoch: record.value.previousMemberEpoch,
            state: stateCodes[record.value.state],
            assignedPartitions: ownedToValue(record.value.assigned),
            partitionsPendingRevocation: ownedToValue(record.value.pendingRevocation),
          },
        ),
      }
    case 'consumer-regex':
      return {
        key: encode(consumerGroupRegularExpressionKey, 16, { groupId, regularExpression: record.regex }),
        value: encodeValue(
          consumerGroupRegularExpressionValue,
          record.value && {
            topics: [...record.value.topics].sort(),
            version: record.value.version,
            timestamp: record.value.timestampMs,
          },
        ),
      }
  }
}

function encodeGroupEpoch(value: GroupEpoch): Buffer {
  const writer = new ByteWriter(32)
  writer.int16(0)
  consumerGroupMetadataValue.exactCodec(0).write(writer, value)
  return writer.toBuffer()
}

const memberToValue = ({ classic, subscribedTopicNames, ...member }: MemberMetadata) => ({
  ...member,
  subscribedTopicNames: [...subscribedTopicNames].sort(),
  classicMemberMetadata: classic,
})

const ownedToValue = (owned: OwnedPartitions) =>
  toTopicPartitions(owned).map(({ topicId, partitions }) => ({
    topicId,
    partitions,
    assignmentEpochs: partitions.map((partition) => owned.get(topicId)!.get(partition)!),
  }))

// --- reading -----------------------------------------------------------------------------------------------------------------------

function decode<F extends Fields>(schema: Schema<F>, value: Buffer): DataOf<Schema<F>> {
  const reader = new ByteReader(value)
  return schema.codec(reader.int16()).read(reader) as DataOf<Schema<F>>
}

/** @param type The key's version, which has been read from `key`. @returns undefined for a type that is not known here. */
export function decodeConsumerRecord(type: number, key: ByteReader, value: Buffer | null): ConsumerRecord | undefined {
  switch (type) {
    case 3: {
      const { groupId: group } = consumerGroupMetadataKey.codec(type).read(key)
      return { kind: 'consumer-group', group, value: value && decodeGroupEpoch(value) }
    }
    case 4: {
      const { groupId: group } = consumerGroupPartitionMetadataKey.codec(type).read(key)
      return { kind: 'consumer-topics', group, value: value && 'kept' }
    }
    case 5: {
      const { groupId: group, memberId } = consumerGroupMemberMetadataKey.codec(type).read(key)
      return { kind: 'consumer-member', group, memberId, value: value && memberFromValue(decode(consumerGroupMemberMetadataValue, value)) }
    }
    case 6: {
      const { groupId: group } = consumerGroupTargetAssignmentMetadataKey.codec(type).read(key)
      if (value === null) return { kind: 'consumer-target', group, value }
      const { assignmentEpoch: epoch, assignmentTimestamp: timestampMs } = decode(consumerGroupTargetAssignmentMetadataValue, value)
      return { kind: 'consumer-target', group, value: { epoch, timestampMs } }
    }
    case 7: {
      const { groupId: group, memberId } = consumerGroupTargetAssignmentMemberKey.codec(type).read(key)
      if (value === null) return { kind: 'consumer-target-member', group, memberId, value }
      const { topicPartitions } = decode(consumerGroupTargetAssignmentMemberValue, value)
      const assignment = new Map(topicPartitions.map(({ topicId, partitions }) => [topicId, new Set(partitions)]))
      return { kind: 'consumer-target-member', group, memberId, value: assignment }
    }
    case 8: {
      const { groupId: group, memberId } = consumerGroupCurrentMemberAssignmentKey.codec(type).read(key)
      return { kind: 'consumer-current', group, memberId, value: value && currentFromValue(value) }
    }
    case 16: {
      const { groupId: group, regularExpression: regex } = consumerGroupRegularExpressionKey.codec(type).read(key)
      if (value === null) return { kind: 'consumer-regex', group, regex, value }
      const { topics, version, timestamp: timestampMs } = decode(consumerGroupRegularExpressionValue, value)
      return { kind: 'consumer-regex', group, regex, value: { topics: new Set(topics), version, timestampMs } }
    }
    default:
      return undefined
  }
}

function decodeGroupEpoch(value: Buffer): GroupEpoch {
  const reader = new ByteReader(value)
  // The exact form of the schema's type: int64 as bigint.
  return consumerGroupMetadataValue.exactCodec(reader.int16()).read(reader) as GroupEpoch
}

function memberFromValue({
  classicMemberMetadata: classic,
  subscribedTopicNames,
  ...member
}: ConsumerGroupMemberMetadataValue): MemberMetadata {
  const protocols = classic?.supportedProtocols.map(({ name, metadata }) => ({ name, metadata: Buffer.from(metadata) })) ?? []
  return {
    ...member,
    subscribedTopicNames: new Set(subscribedTopicNames),
    // A record from before the field reads as one without protocols.
    classic:
      classic === null || protocols.length === 0 ? null : { sessionTimeoutMs: classic.sessionTimeoutMs, supportedProtocols: protocols },
  }
}

function currentFromValue(value: Buffer): CurrentState {
  const { memberEpoch, previousMemberEpoch, state, assignedPartitions, partitionsPendingRevocation } = decode(
    consumerGroupCurrentMemberAssignmentValue,
    value,
  )
  return {
    memberEpoch,
    previousMemberEpoch,
    state: statesByCode.get(state) ?? 'UNKNOWN',
    assigned: ownedFromValue(assignedPartitions, memberEpoch),
    pendingRevocation: ownedFromValue(partitionsPendingRevocation, memberEpoch),
  }
}

/** Kafka before 4.2 kept no epochs beside partitions: the member's serves for all. */
function ownedFromValue(
  topics: readonly { topicId: string; partitions: readonly number[]; assignmentEpochs: readonly number[] | null }[],
  memberEpoch: number,
): OwnedPartitions {
  const epochWithout = Math.max(memberEpoch, 0)
  return new Map(
    topics.map(({ topicId, partitions, assignmentEpochs }) => {
      const epochs = assignmentEpochs?.length === partitions.length ? assignmentEpochs : undefined
      return [topicId, new Map(partitions.map((partition, i) => [partition, epochs?.[i] ?? epochWithout]))]
    }),
  )
}
