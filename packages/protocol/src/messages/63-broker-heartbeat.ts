import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, bool, errorCode, int32, int64, nullable, offset, tagged, uuid, withDefault } from '../schema/types.ts'

/** KRaft: a broker keeps its registration alive. KIP-631. */
export const BrokerHeartbeat = defineApi({
  key: 63,
  name: 'BrokerHeartbeat',
  versions: [0, 2],
  flexibleFrom: 0,
  request: {
    brokerId: int32,
    brokerEpoch: withDefault(int64, -1),
    currentMetadataOffset: offset,
    wantFence: bool,
    wantShutDown: bool,
    offlineLogDirs: tagged(0, 1, array(uuid)),
    cordonedLogDirs: tagged(1, 2, nullable(array(uuid)), null),
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    errorCode,
    isCaughtUp: withDefault(bool, false),
    isFenced: withDefault(bool, true),
    shouldShutDown: bool,
  },
})
export type BrokerHeartbeatRequest = RequestOf<typeof BrokerHeartbeat>
export type BrokerHeartbeatResponse = ResponseOf<typeof BrokerHeartbeat>
