import { channel } from 'node:diagnostics_channel'

/** Published to only while somebody listens. */
export const consumerChannels = {
  /** `{ nodeId, bytes, latencyMs }` of each answered Fetch. */
  fetch: channel('tidelog:consumer:fetch'),
  /** `{ groupId, generationId, memberId, assigned, revoked, lost }` when the assignment changes. */
  rebalance: channel('tidelog:consumer:rebalance'),
} as const
