import { KafkaError } from '@tidelog/protocol'

/**
 * The same failure for a client that does not know PRODUCER_FENCED yet: it was INVALID_PRODUCER_EPOCH before.
 * @param since The first version of the request that knows it. Source: KIP-588.
 */
export function knownFencing(error: unknown, apiVersion: number, since: number): unknown {
  if (apiVersion >= since || !(error instanceof KafkaError) || error.errorName !== 'PRODUCER_FENCED') return error
  return new KafkaError('INVALID_PRODUCER_EPOCH', error.message)
}
