import type { Clock, Logger } from '@tidelog/core'
import { type MetadataImage, type ProducerIdAllocator, TRANSACTION_STATE_TOPIC } from '@tidelog/metadata'
import type { BrokerConfig } from './config/broker-config.ts'
import { partitionLog } from './coordinators/coordinator-log.ts'
import { TransactionCoordinatorService } from './coordinators/transaction-coordinator-service.ts'
import type { ReplicaManager } from './replicas/replica-manager.ts'
import { LocalMarkerSender } from './transactions/local-marker-sender.ts'
import type { MarkerWriter } from './transactions/marker-writer.ts'
import { transactionVersionOf } from './transactions/transaction-version.ts'

/** The transaction coordinators of a broker, told of the partitions of the transaction topic that it leads. */
export function startTransactionCoordinators(options: {
  config: BrokerConfig
  image: MetadataImage
  replicas: ReplicaManager
  producerIds: ProducerIdAllocator
  markerWriter: MarkerWriter
  clock: Clock
  logger: Logger
}): TransactionCoordinatorService {
  const { config, image, replicas, producerIds, markerWriter, clock, logger } = options
  const transactions = new TransactionCoordinatorService({
    config: {
      maxTimeoutMs: config['transaction.max.timeout.ms'],
      abortTimedOutIntervalMs: config['transaction.abort.timed.out.transaction.cleanup.interval.ms'],
      idExpirationMs: config['transactional.id.expiration.ms'],
      removeExpiredIntervalMs: config['transaction.remove.expired.transaction.cleanup.interval.ms'],
      get transactionVersion() {
        return transactionVersionOf(image)
      },
    },
    loadBufferBytes: config['transaction.state.log.load.buffer.size'],
    partitionCount: () => image.topic(TRANSACTION_STATE_TOPIC)?.partitions.size ?? config['transaction.state.log.num.partitions'],
    markers: new LocalMarkerSender({ writer: markerWriter, topics: image, logger }),
    allocateProducerId: () => producerIds.allocate(),
    clock,
    logger,
  })
  replicas.addListener({
    onLeader: (partition) => {
      if (partition.topic !== TRANSACTION_STATE_TOPIC) return
      const log = partitionLog(partition, { commitTimeoutMs: config['request.timeout.ms'] })
      transactions.elected(partition.index, partition.leaderEpoch, log).catch((error) => {
        logger.error('the transactions of a partition could not be loaded', { partition: partition.name, error })
      })
    },
    onResigned: (topic, index) => {
      if (topic === TRANSACTION_STATE_TOPIC) transactions.resigned(index)
    },
  })
  return transactions
}
