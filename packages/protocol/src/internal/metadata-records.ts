/**
 * KRaft's metadata records: the values in `__cluster_metadata-0`, in its snapshots and in `bootstrap.checkpoint`. Read only: what a Kafka cluster
 * knew when its directory is taken over.
 *
 *   unsigned varint   frame version, 1
 *   unsigned varint   record type
 *   unsigned varint   record version
 *   fields            as declared below, tagged fields included
 *
 * Source: the metadata record schemas of Kafka 4.3; KIP-500, KIP-631.
 */
import { ByteReader, MalformedError } from '@tidelog/core'
import { type DataOf, defineData, type Schema } from '../schema/define.ts'
import { kafkaJson } from '../schema/json.ts'
import {
  array,
  bool,
  bytes,
  type Fields,
  float64,
  int8,
  int16,
  int32,
  int64,
  nullable,
  since,
  string,
  tagged,
  timestampMs,
  uint16,
  uuid,
  withDefault,
} from '../schema/types.ts'

const FRAME_VERSION = 1

/** Every version has compact lengths and tagged fields. */
const record = <const F extends Fields>(type: number, newest: number, fields: F) => ({
  type,
  schema: defineData({ versions: [0, newest], flexibleFrom: 0, fields }),
})

const endPoints = array({ name: string, host: string, port: uint16, securityProtocol: int16 })
const supportedFeatures = array({ name: string, minSupportedVersion: int16, maxSupportedVersion: int16 })
/** A change of a list: null leaves it as it is. */
const changedIds = nullable(array(int32))

/** By Kafka's names without `Record`. */
const metadataRecords = {
  RegisterBroker: record(0, 4, {
    brokerId: int32,
    isMigratingZkBroker: since(2, bool, false),
    incarnationId: uuid,
    brokerEpoch: int64,
    endPoints,
    features: supportedFeatures,
    rack: nullable(string),
    fenced: withDefault(bool, true),
    inControlledShutdown: since(1, bool, false),
    logDirs: tagged(0, 3, array(uuid), []),
    cordonedLogDirs: tagged(1, 4, nullable(array(uuid)), null),
  }),
  UnregisterBroker: record(1, 0, { brokerId: int32, brokerEpoch: int64 }),
  Topic: record(2, 0, { name: string, topicId: uuid }),
  Partition: record(3, 2, {
    partitionId: int32,
    topicId: uuid,
    replicas: array(int32),
    isr: array(int32),
    removingReplicas: array(int32),
    addingReplicas: array(int32),
    /** −1 when there is none. */
    leader: int32,
    leaderRecoveryState: tagged(0, 0, int8, 0),
    leaderEpoch: int32,
    partitionEpoch: int32,
    directories: since(1, array(uuid), []),
    eligibleLeaderReplicas: tagged(1, 2, changedIds, null),
    lastKnownElr: tagged(2, 2, changedIds, null),
  }),
  /** Resource types are those of ConfigResource; an empty name stands for the defaults of all brokers. A null value removes. */
  Config: record(4, 0, { resourceType: int8, resourceName: string, name: string, value: nullable(string) }),
  PartitionChange: record(5, 2, {
    partitionId: int32,
    topicId: uuid,
    isr: tagged(0, 0, changedIds, null),
    /** −2 leaves it as it is; anything else is a new leader epoch too. */
    leader: tagged(1, 0, int32, -2),
    replicas: tagged(2, 0, changedIds, null),
    removingReplicas: tagged(3, 0, changedIds, null),
    addingReplicas: tagged(4, 0, changedIds, null),
    leaderRecoveryState: tagged(5, 0, int8, -1),
    directories: tagged(8, 1, nullable(array(uuid)), null),
    eligibleLeaderReplicas: tagged(6, 2, changedIds, null),
    lastKnownElr: tagged(7, 2, changedIds, null),
  }),
  FenceBroker: record(7, 0, { id: int32, epoch: int64 }),
  UnfenceBroker: record(8, 0, { id: int32, epoch: int64 }),
  RemoveTopic: record(9, 0, { topicId: uuid }),
  DelegationToken: record(10, 0, {
    owner: string,
    requester: string,
    renewers: array(string),
    issueTimestamp: timestampMs,
    maxTimestamp: timestampMs,
    expirationTimestamp: timestampMs,
    tokenId: string,
  }),
  /** Mechanism 1 is SCRAM-SHA-256, 2 is SCRAM-SHA-512. */
  UserScramCredential: record(11, 0, {
    name: string,
    mechanism: int8,
    salt: bytes,
    storedKey: bytes,
    serverKey: bytes,
    iterations: int32,
  }),
  FeatureLevel: record(12, 0, { name: string, featureLevel: int16 }),
  /** An entity of which a part has the name null is that part's default. */
  ClientQuota: record(14, 0, {
    entity: array({ entityType: string, entityName: nullable(string) }),
    key: string,
    value: float64,
    remove: bool,
  }),
  ProducerIds: record(15, 0, { brokerId: int32, brokerEpoch: int64, nextProducerId: int64 }),
  BrokerRegistrationChange: record(17, 3, {
    brokerId: int32,
    brokerEpoch: int64,
    fenced: tagged(0, 0, int8, 0),
    inControlledShutdown: tagged(1, 1, int8, 0),
    logDirs: tagged(2, 2, array(uuid), []),
    cordonedLogDirs: tagged(3, 3, nullable(array(uuid)), null),
  }),
  /** Resource, pattern, operation and permission types are those of the ACL requests. */
  AccessControlEntry: record(18, 0, {
    id: uuid,
    resourceType: int8,
    resourceName: string,
    patternType: int8,
    principal: string,
    host: string,
    operation: int8,
    permissionType: int8,
  }),
  RemoveAccessControlEntry: record(19, 0, { id: uuid }),
  NoOp: record(20, 0, {}),
  ZkMigrationState: record(21, 0, { zkMigrationState: int8 }),
  RemoveUserScramCredential: record(22, 0, { name: string, mechanism: int8 }),
  /** Records up to EndTransaction hold together, up to AbortTransaction never were. KIP-868. */
  BeginTransaction: record(23, 0, { name: tagged(0, 0, nullable(string), null) }),
  EndTransaction: record(24, 0, {}),
  AbortTransaction: record(25, 0, { reason: tagged(0, 0, nullable(string), null) }),
  RemoveDelegationToken: record(26, 0, { tokenId: string }),
  RegisterController: record(27, 0, {
    controllerId: int32,
    incarnationId: uuid,
    zkMigrationReady: bool,
    endPoints,
    features: supportedFeatures,
  }),
  ClearElr: record(28, 0, { topicName: string }),
} as const

export type MetadataRecordName = keyof typeof metadataRecords
/** One record: its name, the version it was written in, and its fields. */
export type MetadataRecord = {
  [K in MetadataRecordName]: {
    readonly name: K
    readonly version: number
    readonly fields: DataOf<(typeof metadataRecords)[K]['schema']>
  }
}[MetadataRecordName]
export type MetadataRecordFields<K extends MetadataRecordName> = Extract<MetadataRecord, { name: K }>['fields']

const namesByType = new Map(Object.entries(metadataRecords).map(([name, { type }]) => [type, name as MetadataRecordName]))

/** @throws MalformedError for a record of a type or version that Kafka 4.3 does not know, and for bytes that do not fit */
export function decodeMetadataRecord(value: Buffer): MetadataRecord {
  const { name, version, reader } = headOf(value)
  const fields = metadataRecords[name].schema.codec(version).read(reader)
  if (reader.remaining > 0) throw new MalformedError(`${name}Record with ${reader.remaining} bytes too many`)
  // The name says which fields they are; the compiler does not follow it through the table.
  return { name, version, fields } as MetadataRecord
}

/** The record as kafka-dump-log prints it. @throws as decodeMetadataRecord */
export function metadataRecordJson(value: Buffer): string {
  const { name, version, reader } = headOf(value)
  const schema = metadataRecords[name].schema as Schema
  const type = `${name.replace(/([a-z])([A-Z])/g, '$1_$2').toUpperCase()}_RECORD`
  return `{"type":"${type}","version":${version},"data":${kafkaJson(schema, version, schema.exactCodec(version).read(reader))}}`
}

function headOf(value: Buffer): { name: MetadataRecordName; version: number; reader: ByteReader } {
  const reader = new ByteReader(value)
  const frameVersion = reader.unsignedVarint()
  if (frameVersion !== FRAME_VERSION) throw new MalformedError(`metadata record frame of version ${frameVersion}`)
  const type = reader.unsignedVarint()
  const version = reader.unsignedVarint()
  const name = namesByType.get(type)
  if (name === undefined) throw new MalformedError(`metadata record of unknown type ${type}`)
  if (version > metadataRecords[name].schema.versions[1]) throw new MalformedError(`${name}Record of unknown version ${version}`)
  return { name, version, reader }
}
