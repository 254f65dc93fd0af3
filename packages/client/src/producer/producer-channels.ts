import { channel } from 'node:diagnostics_channel'

/** Published to only while somebody listens. */
export const producerChannels = {
  /** `{ batches, bytes }` of each Produce request that leaves. */
  request: channel('tidelog:producer:request'),
  /** `{ transactionalId, committed }` of each transaction that has ended. */
  transaction: channel('tidelog:producer:transaction'),
} as const
