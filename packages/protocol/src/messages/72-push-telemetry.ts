import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { bool, bytes, errorCode, int8, int32, uuid, withDefault } from '../schema/types.ts'

/** A client's metrics. KIP-714. */
export const PushTelemetry = defineApi({
  key: 72,
  name: 'PushTelemetry',
  versions: [0, 0],
  flexibleFrom: 0,
  request: {
    clientInstanceId: uuid,
    subscriptionId: int32,
    terminating: bool,
    compressionType: int8,
    metrics: bytes,
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    errorCode,
  },
})
export type PushTelemetryRequest = RequestOf<typeof PushTelemetry>
export type PushTelemetryResponse = ResponseOf<typeof PushTelemetry>
