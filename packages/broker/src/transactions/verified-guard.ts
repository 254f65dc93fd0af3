import type { VerificationGuard } from '@tidelog/storage'
import type { BrokerServices } from '../broker-services.ts'
import type { Partition } from '../replicas/partition.ts'
import type { TransactionalProducer, VerificationMode } from './partition-verifier.ts'

/**
 * What a transactional batch is to be appended with: null when its transaction is open in the partition; undefined where nobody checks that
 * (transaction.partition.verification.enable); else the guard, once the coordinator has said that the transaction includes the partition. It is asked
 * once, and a producer's batches wait for the answer in their order.
 * @throws KafkaError why the batch cannot be appended. Source: KIP-890.
 */
export function verifiedGuard(
  partition: Partition,
  { transactionalId, producerId, producerEpoch, baseSequence }: TransactionalProducer & { readonly baseSequence: number },
  mode: VerificationMode,
  { verifier, config }: Pick<BrokerServices, 'verifier' | 'config'>,
): VerificationGuard | null | undefined | Promise<VerificationGuard> {
  if (mode !== 'add' && !config['transaction.partition.verification.enable']) return undefined
  const guard = partition.log.producers.guardFor({ producerId, producerEpoch, baseSequence, isV2: mode === 'add' })
  if (guard === undefined) return null
  if (guard.isVerified) return guard
  return verifier.verified(
    guard,
    { transactionalId, producerId, producerEpoch },
    { topic: partition.topic, partition: partition.index },
    mode,
  )
}
