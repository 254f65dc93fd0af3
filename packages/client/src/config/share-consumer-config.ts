import type { ConfigOf, ConfigTable } from '@tidelog/core'
import { ClientConfig, commonRows, type OptionsOf } from './client-config.ts'
import { consumerRows } from './consumer-config.ts'

const {
  'check.crcs': checkCrcs,
  'client.rack': clientRack,
  'default.api.timeout.ms': defaultApiTimeoutMs,
  'fetch.max.bytes': fetchMaxBytes,
  'fetch.max.wait.ms': fetchMaxWaitMs,
  'fetch.min.bytes': fetchMinBytes,
  'group.id': groupId,
  'key.deserializer': keyDeserializer,
  'max.poll.records': maxPollRecords,
  'share.acknowledgement.mode': shareAcknowledgementMode,
  'share.acquire.mode': shareAcquireMode,
  'value.deserializer': valueDeserializer,
} = consumerRows

/** What a share consumer takes; the rest of the consumer's configurations has no meaning here, and Java's refuses it too. KIP-932. */
export const shareConsumerRows = {
  ...commonRows,
  'check.crcs': checkCrcs,
  'client.rack': clientRack,
  'default.api.timeout.ms': defaultApiTimeoutMs,
  'fetch.max.bytes': fetchMaxBytes,
  'fetch.max.wait.ms': fetchMaxWaitMs,
  'fetch.min.bytes': fetchMinBytes,
  'group.id': groupId,
  'key.deserializer': keyDeserializer,
  'max.poll.records': maxPollRecords,
  'value.deserializer': valueDeserializer,
  'share.acknowledgement.mode': shareAcknowledgementMode,
  'share.acquire.mode': shareAcquireMode,
} as const

export const shareConsumerConfig = new ClientConfig(shareConsumerRows)
export type ShareConsumerConfig = ConfigOf<ConfigTable<typeof shareConsumerRows>>
export type ShareConsumerConfigOptions = OptionsOf<typeof shareConsumerRows>
