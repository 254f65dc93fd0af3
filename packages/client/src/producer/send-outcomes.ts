import {
  batchAt,
  batchHeader,
  errorTable,
  type KafkaRecord,
  type NewRecord,
  type Produce,
  prepareCodec,
  type ResponseOf,
  readRecords,
} from '@tidelog/protocol'
import type { Cluster } from '../cluster/cluster.ts'
import type { ProducerConfig } from '../config/producer-config.ts'
import { BrokerError, ClientError, checkOffset, DisconnectedError, hasCode, TimeoutError } from '../errors.ts'
import type { Accumulator, PartitionQueue } from './accumulator.ts'
import type { ProducerBatch } from './producer-batch.ts'
import type { SequenceIdentity } from './producer-identity.ts'
import type { ProducerMetrics } from './producer-metrics.ts'
import type { TransactionManager } from './transactions/transaction-manager.ts'

type Answer = ResponseOf<typeof Produce>['responses'][number]['partitionResponses'][number]

export interface SendOutcomesOptions {
  readonly cluster: Cluster
  readonly config: ProducerConfig
  readonly accumulator: Accumulator
  readonly identity: SequenceIdentity | undefined
  readonly transactions: TransactionManager | undefined
  readonly metrics: ProducerMetrics
  /** Has the sender look again. */
  readonly wake: () => void
}

/** After these the leader may be another one by now. */
const staleMetadata = [
  'UNKNOWN_TOPIC_OR_PARTITION',
  'UNKNOWN_TOPIC_ID',
  'INCONSISTENT_TOPIC_ID',
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_OR_FOLLOWER',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
  'KAFKA_STORAGE_ERROR',
  'REPLICA_NOT_AVAILABLE',
  'DISCONNECTED',
  'TIMEOUT',
] as const

/** After these the topic may come again, made anew and empty. */
const topicGone = ['UNKNOWN_TOPIC_OR_PARTITION', 'UNKNOWN_TOPIC_ID', 'INCONSISTENT_TOPIC_ID'] as const

/** With these nobody has said that the batch was not appended. */
const ambiguous = [
  'TIMEOUT',
  'DISCONNECTED',
  'MALFORMED_RESPONSE',
  'REQUEST_TIMED_OUT',
  'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  'NOT_LEADER_OR_FOLLOWER',
  'KAFKA_STORAGE_ERROR',
  'UNKNOWN_SERVER_ERROR',
] as const

const { DUPLICATE_SEQUENCE_NUMBER, MESSAGE_TOO_LARGE } = errorTable

/** What an answer, or none, means for each batch that was sent: it is done, goes again, or has failed for good. */
export class SendOutcomes {
  readonly #options: SendOutcomesOptions

  constructor(options: SendOutcomesOptions) {
    this.#options = options
  }

  /** @param response undefined: acks=0, there is none. */
  answered(batches: readonly ProducerBatch[], response: ResponseOf<typeof Produce> | undefined): void {
    const { cluster } = this.#options
    if (response === undefined) {
      for (const batch of batches) this.#done(batch, -1, -1)
      return
    }
    const answers = new Map<string, Map<number, Answer>>()
    for (const { name, topicId, partitionResponses } of response.responses) {
      const topic = name === '' ? cluster.metadata.nameOf(topicId) : name
      if (topic === undefined) continue
      answers.set(topic, new Map(partitionResponses.map((answer) => [answer.index, answer])))
    }
    for (const batch of batches) {
      const answer = answers.get(batch.topic)?.get(batch.partition)
      if (answer === undefined) {
        // The topic may have been made anew while the request was on its way: its id has no name any more.
        this.#failed(batch, new DisconnectedError(`${batch.topic}-${batch.partition}: the broker's answer leaves it out`))
        continue
      }
      const { leaderId, leaderEpoch } = answer.currentLeader
      const { topic, partition } = batch
      if (leaderId >= 0) cluster.metadata.hint({ topic, partition, leaderId, leaderEpoch }, response.nodeEndpoints)
      this.#settle(batch, answer)
    }
  }

  /** The connection was lost, or something of the kind. */
  unanswered(batches: readonly ProducerBatch[], error: ClientError): void {
    this.#options.metrics.unanswered()
    for (const batch of batches) this.#failed(batch, error)
  }

  #settle(batch: ProducerBatch, answer: Answer): void {
    const { topic, partition } = batch
    if (answer.errorCode === 0) {
      try {
        this.#done(batch, checkOffset(answer.baseOffset, batch), answer.logAppendTimeMs)
      } catch (error) {
        if (!(error instanceof ClientError)) throw error
        this.#failed(batch, error)
      }
    } else if (answer.errorCode === DUPLICATE_SEQUENCE_NUMBER.code) {
      this.#done(batch, answer.baseOffset, answer.logAppendTimeMs)
    } else if (answer.errorCode === MESSAGE_TOO_LARGE.code && batch.recordsCount > 1) {
      this.#split(batch)
    } else {
      const bad = answer.recordErrors[0]
      const message =
        bad === undefined ? answer.errorMessage : `record ${bad.batchIndex}: ${bad.batchIndexErrorMessage ?? answer.errorMessage ?? ''}`
      this.#failed(batch, new BrokerError(answer.errorCode, `${topic}-${partition}`, message))
    }
  }

  #done(batch: ProducerBatch, baseOffset: number, logAppendTimeMs: number): void {
    const queue = this.#landed(batch)
    if (batch.baseSequence >= 0 && batch.producer === queue.producer) {
      const last = batch.baseSequence + batch.recordsCount - 1
      queue.lastAckedSequence = last > 0x7fffffff ? last - 0x80000000 : last
      // What was missing before it has arrived after all.
      if (batch.baseSequence === queue.unresolvedEnd) queue.unresolvedEnd = undefined
      queue.ackedProducerId = batch.producer!.producerId
    }
    const { metrics, cluster, accumulator } = this.#options
    metrics.delivered(batch.recordsCount, cluster.clock.monotonic())
    accumulator.complete(batch, baseOffset, logAppendTimeMs)
  }

  #failed(batch: ProducerBatch, error: ClientError): void {
    const { cluster, accumulator, config, identity, transactions, metrics } = this.#options
    const queue = this.#landed(batch)
    if (batch.isDone) return
    batch.lastError = error
    if (hasCode(error, ...ambiguous)) batch.isAmbiguous = true
    if (hasCode(error, ...staleMetadata)) cluster.requestRefresh()
    if (hasCode(error, ...topicGone)) queue.ackedProducerId = -1
    const nowMs = cluster.clock.monotonic()
    if (identity !== undefined && transactions?.isLive !== false && this.#sequenceIsOff(queue, batch, error)) {
      // A broker that has lost its state is given time; what came out of order goes again as soon as it is its turn.
      this.#requeue(queue, batch, queue.renumber === 'restart' ? nowMs + cluster.retryBackoffMs(batch.attempts - 1) : nowMs)
      return
    }
    if (error.retriable && batch.attempts <= config.retries && transactions?.isLive !== false) {
      if (nowMs < batch.createdMs + config['delivery.timeout.ms']) {
        metrics.retried(batch, nowMs)
        this.#requeue(queue, batch, nowMs + cluster.retryBackoffMs(batch.attempts - 1))
        return
      }
      const limit = `${config['delivery.timeout.ms']} ms`
      const where = `${batch.topic}-${batch.partition}`
      this.giveUp(
        queue,
        batch,
        new TimeoutError(`${batch.recordsCount} records for ${where} were not delivered within ${limit}: ${error.message}`, error),
      )
      return
    }
    this.giveUp(queue, batch, error)
    accumulator.active.add(queue)
  }

  /** The batch has failed for good. */
  giveUp(queue: PartitionQueue, batch: ProducerBatch, error: ClientError): void {
    const { cluster, accumulator, identity, transactions, metrics } = this.#options
    if (transactions !== undefined) transactions.batchFailed(error, batch.baseSequence >= 0)
    else if (identity !== undefined && batch.baseSequence >= 0 && batch.producer === queue.producer) {
      this.#closeGap(queue, batch, error)
    }
    metrics.failed(batch, cluster.clock.monotonic())
    accumulator.fail(batch, error)
  }

  /**
   * What becomes of the numbers of those behind a batch that has failed. One that was refused has left its number to the next. Where nobody knows, those
   * that carry numbers keep them: they may have arrived as well, and under new numbers they would come twice. The broker takes the first of them when
   * nothing is missing before it, and says so otherwise; then, or when there is none, the count starts again. KIP-360, KAFKA-5793.
   */
  #closeGap(queue: PartitionQueue, batch: ProducerBatch, error: ClientError): void {
    if (batch.isAmbiguous) {
      if (queue.renumber === undefined && queue.hasNumbered) {
        queue.unresolvedEnd = batchHeader.addSequence(batch.baseSequence, batch.recordsCount)
      } else this.#restart(queue)
    } else if (queue.unresolvedEnd !== undefined || hasCode(error, 'INVALID_PRODUCER_EPOCH')) {
      // None behind it can have arrived. Under an epoch that the leader knows a newer one of, none ever will.
      this.#restart(queue)
    } else queue.renumber ??= 'continue'
  }

  /**
   * Does the error say that the broker expects another number? Then the batch was not appended, and it can go again under another one.
   * A gap is no surprise while batches before it have yet to arrive; where this batch is the next one, the broker has lost its state.
   */
  #sequenceIsOff(queue: PartitionQueue, batch: ProducerBatch, error: ClientError): boolean {
    if (!hasCode(error, 'OUT_OF_ORDER_SEQUENCE_NUMBER', 'UNKNOWN_PRODUCER_ID')) return false
    const expected = (queue.lastAckedSequence + 1) & 0x7fffffff
    const isNext = batch.baseSequence === expected || batch.baseSequence === queue.unresolvedEnd
    // A transaction cannot start again in the middle: it is aborted.
    if (this.#options.transactions !== undefined) return !isNext && error.code !== 'UNKNOWN_PRODUCER_ID'
    if (queue.renumber === undefined && (isNext || error.code === 'UNKNOWN_PRODUCER_ID')) this.#restart(queue)
    return true
  }

  #restart(queue: PartitionQueue): void {
    queue.unresolvedEnd = undefined
    if (queue.renumber === 'restart') return
    this.#options.identity?.bump()
    queue.renumber = 'restart'
  }

  #requeue(queue: PartitionQueue, batch: ProducerBatch, notBeforeMs: number): void {
    batch.notBeforeMs = notBeforeMs
    queue.requeue(batch)
    this.#options.accumulator.active.add(queue)
  }

  /** Not in flight any more. */
  #landed(batch: ProducerBatch): PartitionQueue {
    const queue = this.#options.accumulator.queueOf(batch.topic, batch.partition)
    const index = queue.inFlight.indexOf(batch)
    if (index >= 0) queue.inFlight.splice(index, 1)
    return queue
  }

  /** Too large for the broker as one: as two it may do. KIP-126. */
  #split(batch: ProducerBatch): void {
    const queue = this.#landed(batch)
    // Nothing may overtake it while its codec is being loaded.
    batch.isBuilding = true
    this.#requeue(queue, batch, 0)
    prepareCodec(batch.codec)
      .then(() => this.#replaceByHalves(queue, batch))
      .catch((error) => {
        batch.isBuilding = false
        const index = queue.waiting.indexOf(batch)
        if (index >= 0) queue.waiting.splice(index, 1)
        this.giveUp(
          queue,
          batch,
          new ClientError('MESSAGE_TOO_LARGE', 'the batch is too large for the broker and cannot be split', { cause: error }),
        )
      })
      .finally(() => this.#options.wake())
  }

  #replaceByHalves(queue: PartitionQueue, batch: ProducerBatch): void {
    const { accumulator, cluster, metrics } = this.#options
    batch.isBuilding = false
    const index = queue.waiting.indexOf(batch)
    if (batch.isDone || index < 0) return
    const halves = accumulator.split(batch, [...recordsOf(batch)])
    if (halves === undefined) throw new Error('it holds one record')
    queue.waiting.splice(index, 1, ...halves)
    metrics.split(cluster.clock.monotonic())
    accumulator.active.add(queue)
    const { topic, partition, recordsCount } = batch
    cluster.logger.debug('a batch was too large for the broker and has been split', { topic, partition, records: recordsCount })
  }
}

function* recordsOf({ bytes, uncompressedBytes }: ProducerBatch): Generator<NewRecord> {
  const batch = batchAt(bytes!, 0, bytes!.length)
  if (batch === undefined) return
  for (const record of readRecords(batch, { maxOutputBytes: uncompressedBytes })) yield newRecordOf(record)
}

const newRecordOf = ({ timestamp, key, value, headers }: KafkaRecord): NewRecord => ({ timestamp, key, value, headers })
