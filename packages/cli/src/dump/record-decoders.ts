import { ByteReader, messageOf } from '@tidelog/core'
import {
  CONSUMER_PROTOCOL_TYPE,
  consumerGroupCurrentMemberAssignmentKey,
  consumerGroupCurrentMemberAssignmentValue,
  consumerGroupMemberMetadataKey,
  consumerGroupMemberMetadataValue,
  consumerGroupMetadataKey,
  consumerGroupMetadataValue,
  consumerGroupRegularExpressionKey,
  consumerGroupRegularExpressionValue,
  consumerGroupTargetAssignmentMemberKey,
  consumerGroupTargetAssignmentMemberValue,
  consumerGroupTargetAssignmentMetadataKey,
  consumerGroupTargetAssignmentMetadataValue,
  consumerProtocolAssignment,
  consumerProtocolSubscription,
  groupMetadataKey,
  groupMetadataValue,
  type KafkaRecord,
  kafkaJson,
  metadataRecordJson,
  offsetCommitKey,
  offsetCommitValue,
  type Schema,
  shareGroupCurrentMemberAssignmentKey,
  shareGroupCurrentMemberAssignmentValue,
  shareGroupMemberMetadataKey,
  shareGroupMemberMetadataValue,
  shareGroupMetadataKey,
  shareGroupMetadataValue,
  shareGroupStatePartitionMetadataKey,
  shareGroupStatePartitionMetadataValue,
  shareGroupTargetAssignmentMemberKey,
  shareGroupTargetAssignmentMemberValue,
  shareGroupTargetAssignmentMetadataKey,
  shareGroupTargetAssignmentMetadataValue,
  shareSnapshotKey,
  shareSnapshotValue,
  shareUpdateKey,
  shareUpdateValue,
  streamsGroupCurrentMemberAssignmentKey,
  streamsGroupCurrentMemberAssignmentValue,
  streamsGroupMemberMetadataKey,
  streamsGroupMemberMetadataValue,
  streamsGroupMetadataKey,
  streamsGroupMetadataValue,
  streamsGroupTargetAssignmentMemberKey,
  streamsGroupTargetAssignmentMemberValue,
  streamsGroupTargetAssignmentMetadataKey,
  streamsGroupTargetAssignmentMetadataValue,
  streamsGroupTopologyKey,
  streamsGroupTopologyValue,
  transactionLogKey,
  transactionLogValue,
} from '@tidelog/protocol'
import { CommandFailure } from '../command.ts'

/** What kafka-dump-log prints of a record's key and value; undefined: nothing. */
export interface DecodedRecord {
  readonly key: string | undefined
  readonly payload: string | undefined
}

export type RecordDecoder = (record: KafkaRecord) => DecodedRecord

interface RecordType {
  readonly key: Schema
  readonly value: Schema
  /** The value's text, where it is more than its fields. */
  readonly valueText?: (version: number, value: unknown) => string
}

/** What the fields are is of no matter here: they are printed as they come. */
const type = (key: unknown, value: unknown, valueText?: RecordType['valueText']): RecordType => ({
  key: key as Schema,
  value: value as Schema,
  ...(valueText === undefined ? {} : { valueText }),
})

/** By the int16 that a key starts with. */
const offsetsTypes = new Map<number, RecordType>([
  [0, type(offsetCommitKey, offsetCommitValue)],
  [1, type(offsetCommitKey, offsetCommitValue)],
  [2, type(groupMetadataKey, groupMetadataValue, groupText)],
  [3, type(consumerGroupMetadataKey, consumerGroupMetadataValue)],
  [5, type(consumerGroupMemberMetadataKey, consumerGroupMemberMetadataValue)],
  [6, type(consumerGroupTargetAssignmentMetadataKey, consumerGroupTargetAssignmentMetadataValue)],
  [7, type(consumerGroupTargetAssignmentMemberKey, consumerGroupTargetAssignmentMemberValue)],
  [8, type(consumerGroupCurrentMemberAssignmentKey, consumerGroupCurrentMemberAssignmentValue)],
  [10, type(shareGroupMemberMetadataKey, shareGroupMemberMetadataValue)],
  [11, type(shareGroupMetadataKey, shareGroupMetadataValue)],
  [12, type(shareGroupTargetAssignmentMetadataKey, shareGroupTargetAssignmentMetadataValue)],
  [13, type(shareGroupTargetAssignmentMemberKey, shareGroupTargetAssignmentMemberValue)],
  [14, type(shareGroupCurrentMemberAssignmentKey, shareGroupCurrentMemberAssignmentValue)],
  [15, type(shareGroupStatePartitionMetadataKey, shareGroupStatePartitionMetadataValue)],
  [16, type(consumerGroupRegularExpressionKey, consumerGroupRegularExpressionValue)],
  [17, type(streamsGroupMetadataKey, streamsGroupMetadataValue)],
  [19, type(streamsGroupMemberMetadataKey, streamsGroupMemberMetadataValue)],
  [20, type(streamsGroupTargetAssignmentMetadataKey, streamsGroupTargetAssignmentMetadataValue)],
  [21, type(streamsGroupTargetAssignmentMemberKey, streamsGroupTargetAssignmentMemberValue)],
  [22, type(streamsGroupCurrentMemberAssignmentKey, streamsGroupCurrentMemberAssignmentValue)],
  [23, type(streamsGroupTopologyKey, streamsGroupTopologyValue)],
])
const shareStateTypes = new Map<number, RecordType>([
  [0, type(shareSnapshotKey, shareSnapshotValue)],
  [1, type(shareUpdateKey, shareUpdateValue)],
])
const transactionTypes = new Map<number, RecordType>([[0, type(transactionLogKey, transactionLogValue)]])

/** Records of __consumer_offsets. */
export const decodeOffsetsRecord: RecordDecoder = (record) => decodeCoordinatorRecord(record, offsetsTypes)
/** Records of __transaction_state. */
export const decodeTransactionRecord: RecordDecoder = (record) => decodeCoordinatorRecord(record, transactionTypes)

/** Records of __share_group_state. */
export const decodeShareStateRecord: RecordDecoder = (record) => decodeCoordinatorRecord(record, shareStateTypes)

/** Records of __cluster_metadata, which have no keys. */
export const decodeClusterMetadataRecord: RecordDecoder = ({ offset, value }) => {
  try {
    return { key: undefined, payload: metadataRecordJson(value ?? Buffer.alloc(0)) }
  } catch (error) {
    return { key: undefined, payload: `Error at ${offset}, skipping. ${messageOf(error)}` }
  }
}

function decodeCoordinatorRecord({ offset, key, value }: KafkaRecord, types: ReadonlyMap<number, RecordType>): DecodedRecord {
  if (key === null)
    throw new CommandFailure(`Failed to decode message at offset ${offset} using the specified decoder (message had a missing key)`)
  try {
    const keyReader = new ByteReader(key)
    const number = keyReader.int16()
    const found = types.get(number)
    if (found === undefined) return { key: `Unknown record type ${number} at offset ${offset}, skipping.`, payload: undefined }
    const keyJson = kafkaJson(found.key, number, found.key.exactCodec(number).read(keyReader))
    return { key: `{"type":"${number}","data":${keyJson}}`, payload: value === null ? '<DELETE>' : payloadOf(found, value) }
  } catch (error) {
    return { key: `Error at offset ${offset}, skipping. ${messageOf(error)}`, payload: undefined }
  }
}

function payloadOf({ value: schema, valueText }: RecordType, bytes: Buffer): string {
  const reader = new ByteReader(bytes)
  const version = reader.int16()
  const value = schema.exactCodec(version).read(reader)
  return `{"version":"${version}","data":${valueText?.(version, value) ?? kafkaJson(schema, version, value)}}`
}

type Member = Record<'subscription' | 'assignment', Buffer>

/** What consumers have told each other is shown as what it says; what cannot be read, and of other kinds of members, as bytes. */
function groupText(version: number, value: unknown): string {
  const json = kafkaJson(groupMetadataValue as Schema, version, value)
  const { protocolType, members } = value as { protocolType: string; members: Member[] }
  if (protocolType !== CONSUMER_PROTOCOL_TYPE) return json
  let at = json.indexOf('"members":[')
  let text = json.slice(0, at)
  for (const member of members) {
    for (const [name, schema] of [
      ['subscription', consumerProtocolSubscription],
      ['assignment', consumerProtocolAssignment],
    ] as const) {
      const field = `"${name}":"${member[name].toString('base64')}"`
      const place = json.indexOf(field, at)
      text += json.slice(at, place) + (embeddedText(name, schema as Schema, member[name]) ?? field)
      at = place + field.length
    }
  }
  return text + json.slice(at)
}

function embeddedText(name: string, schema: Schema, bytes: Buffer): string | undefined {
  try {
    const reader = new ByteReader(bytes)
    const version = reader.int16()
    return `"${name}":${kafkaJson(schema, version, schema.exactCodec(version).read(reader))}`
  } catch {
    return undefined
  }
}
