import { ByteReader } from '@tidelog/core'
import { defineData, type Schema } from '../schema/define.ts'
import { kafkaJson } from '../schema/json.ts'
import { array, int16, int32, since, string, timestampMs, uint16, uuid } from '../schema/types.ts'

const voters = array({ voterId: int32, voterDirectoryId: since(1, uuid) })

/** What a control record of KRaft's own log and snapshots holds, by its type; a value begins with its version, which is its first field too. KIP-595, KIP-853. */
const controlRecords = new Map<number, { readonly label: string; readonly schema: Schema }>([
  [
    2,
    {
      label: 'LeaderChange:',
      schema: defineData({
        versions: [0, 1],
        flexibleFrom: 0,
        fields: { version: int16, leaderId: int32, voters, grantingVoters: voters },
      }) as Schema,
    },
  ],
  [
    3,
    {
      label: 'SnapshotHeader',
      schema: defineData({
        versions: [0, 0],
        flexibleFrom: 0,
        fields: { version: int16, lastContainedLogTimestamp: timestampMs },
      }) as Schema,
    },
  ],
  [4, { label: 'SnapshotFooter', schema: defineData({ versions: [0, 0], flexibleFrom: 0, fields: { version: int16 } }) as Schema }],
  [
    5,
    {
      label: 'KRaftVersion',
      schema: defineData({ versions: [0, 0], flexibleFrom: 0, fields: { version: int16, kRaftVersion: int16 } }) as Schema,
    },
  ],
  [
    6,
    {
      label: 'KRaftVoters',
      schema: defineData({
        versions: [0, 0],
        flexibleFrom: 0,
        fields: {
          version: int16,
          voters: array({
            voterId: int32,
            voterDirectoryId: uuid,
            endpoints: array({ name: string, host: string, port: uint16 }),
            kRaftVersionFeature: { minSupportedVersion: int16, maxSupportedVersion: int16 },
          }),
        },
      }) as Schema,
    },
  ],
])

/** The record as kafka-dump-log prints it; undefined for a type that is not KRaft's. */
export function kraftControlText(type: number, value: Buffer): string | undefined {
  const record = controlRecords.get(type)
  if (record === undefined) return undefined
  const version = value.readInt16BE(0)
  return `${record.label} ${kafkaJson(record.schema, version, record.schema.exactCodec(version).read(new ByteReader(value)))}`
}
