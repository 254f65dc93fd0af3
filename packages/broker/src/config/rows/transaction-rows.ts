import { boolean, int, short } from '@tidelog/core'
import { TWO_PHASE_COMMIT } from './unused-reasons.ts'

/** Transactions and producer ids. */
export const transactionRows = {
  'add.partitions.to.txn.retry.backoff.max.ms': int({
    default: 100,
    min: 0,
    unit: 'ms',
    importance: 'high',
    doc: 'Longest time the broker goes on trying to add a partition to a transaction.',
  }),
  'add.partitions.to.txn.retry.backoff.ms': int({
    default: 20,
    min: 1,
    unit: 'ms',
    importance: 'high',
    doc: 'Pause before the broker tries again to add a partition to a transaction.',
  }),
  'transaction.abort.timed.out.transaction.cleanup.interval.ms': int({
    default: 10_000,
    min: 1,
    unit: 'ms',
    importance: 'low',
    doc: 'How often transactions are looked over for ones past their timeout.',
  }),
  'transaction.max.timeout.ms': int({
    default: 900_000,
    min: 1,
    unit: 'ms',
    importance: 'high',
    doc: 'Longest transaction timeout a producer may ask for.',
  }),
  'transaction.partition.verification.enable': boolean({
    default: true,
    importance: 'low',
    update: 'cluster-wide',
    doc: 'Whether a partition asks the coordinator if a transaction includes it before it appends the first batch.',
  }),
  'transaction.remove.expired.transaction.cleanup.interval.ms': int({
    default: 3_600_000,
    min: 1,
    unit: 'ms',
    importance: 'low',
    doc: 'How often transactional ids are looked over for expired ones.',
  }),
  'transaction.state.log.load.buffer.size': int({
    default: 5_242_880,
    min: 1,
    importance: 'high',
    doc: 'Bytes read at a time while transaction state is loaded.',
  }),
  'transaction.state.log.min.isr': int({
    default: 2,
    min: 1,
    importance: 'high',
    doc: 'min.insync.replicas of the transaction topic. On the embedded store with one broker 1, unless it is set.',
  }),
  'transaction.state.log.num.partitions': int({
    default: 50,
    min: 1,
    importance: 'high',
    doc: 'Partitions of the transaction topic; fixed once it exists.',
  }),
  'transaction.state.log.replication.factor': short({
    default: 3,
    min: 1,
    importance: 'high',
    doc: 'Replicas of the transaction topic. On the embedded store with one broker 1, unless it is set.',
  }),
  'transaction.state.log.segment.bytes': int({
    default: 104_857_600,
    min: 1,
    unit: 'bytes',
    importance: 'high',
    doc: 'Segment size of the transaction topic.',
  }),
  'transaction.two.phase.commit.enable': boolean({
    default: false,
    importance: 'low',
    unused: TWO_PHASE_COMMIT,
    doc: 'Whether transactions without a timeout, decided by an outside coordinator, are allowed.',
  }),
  'transactional.id.expiration.ms': int({
    default: 604_800_000,
    min: 1,
    unit: 'ms',
    importance: 'high',
    doc: 'Idle time after which a transactional id is forgotten.',
  }),
}
