import { messageOf, type Offload, type Timer, ZERO_UUID } from '@tidelog/core'
import { DEFAULT_LZ4_LEVEL, isCodecReady, Produce } from '@tidelog/protocol'
import type { BrokerConnection } from '../cluster/broker-connection.ts'
import type { Cluster } from '../cluster/cluster.ts'
import { type ProducerConfig, requiredAcks } from '../config/producer-config.ts'
import { ClientError, TimeoutError } from '../errors.ts'
import type { Accumulator, PartitionQueue } from './accumulator.ts'
import type { ProducerBatch } from './producer-batch.ts'
import { producerChannels } from './producer-channels.ts'
import type { SequenceIdentity } from './producer-identity.ts'
import type { ProducerMetrics } from './producer-metrics.ts'
import { SendOutcomes } from './send-outcomes.ts'
import type { TransactionManager } from './transactions/transaction-manager.ts'

export interface SenderOptions {
  readonly cluster: Cluster
  readonly config: ProducerConfig
  readonly accumulator: Accumulator
  /** undefined: not idempotent. */
  readonly identity: SequenceIdentity | undefined
  /** undefined: no transactional id. */
  readonly transactions: TransactionManager | undefined
  readonly offload: Offload
  readonly metrics: ProducerMetrics
}

/** What the sender knows of a broker. */
interface NodeState {
  inFlight: number
  isConnecting: boolean
  /** Monotonic time since when something waits for it that it does not take; undefined: it takes what there is. */
  refusingSinceMs: number | undefined
  /** Monotonic time until which the broker takes nothing from this client, by its quota. KIP-219. */
  throttledUntilMs: number
}

/** Up to this size compressing on the loop costs less than handing it to another thread. */
const compressHereBytes = { none: Number.POSITIVE_INFINITY, snappy: 65_536, lz4: 65_536, zstd: 4096, gzip: 2048 } as const
/** The same for the levels of lz4 that search. */
const SEARCHING_LZ4_BYTES = 4096

const NEVER = Number.POSITIVE_INFINITY

/**
 * Takes batches from the accumulator to the partitions' leaders. A batch leaves when it is full, when nothing of its partition is under way,
 * or when it has lingered; batches for one broker share a request. One pass runs per turn of the event loop, when something has changed.
 */
export class Sender {
  readonly #options: SenderOptions
  readonly #outcomes: SendOutcomes
  readonly #nodes = new Map<number, NodeState>()
  readonly #maxInFlight: number
  /** One batch of a partition at a time, where nothing else keeps the order when one is sent again. */
  readonly #oneAtATime: boolean
  #requestsInFlight = 0
  #isScheduled = false
  #isStopped = false
  #timer: Timer | undefined
  #timerDueMs = NEVER

  constructor(options: SenderOptions) {
    this.#options = options
    this.#maxInFlight = options.config['max.in.flight.requests.per.connection']
    this.#oneAtATime = this.#maxInFlight === 1
    this.#outcomes = new SendOutcomes({ ...options, wake: () => this.wake() })
    options.cluster.onMetadata(() => this.wake())
  }

  /** Has a pass run in this turn of the loop, after the callbacks that are due: what they append goes along. */
  wake(): void {
    if (this.#isScheduled || this.#isStopped) return
    this.#isScheduled = true
    setImmediate(this.#scheduledPass)
  }

  /** A record has come. While nothing is under way it need not wait for the turn to end, only for what is due before: whoever awaits each send feels it. */
  wakeForRecord(): void {
    if (this.#isScheduled || this.#isStopped) return
    this.#isScheduled = true
    if (this.#requestsInFlight === 0) queueMicrotask(this.#scheduledPass)
    else setImmediate(this.#scheduledPass)
  }

  /** A batch is full. While nothing is under way it leaves at once, so that the broker works on it while the caller makes the next. */
  batchSealed(): void {
    if (this.#requestsInFlight === 0 && !this.#isStopped) this.#pass(true)
  }

  readonly #scheduledPass = (): void => {
    this.#isScheduled = false
    if (!this.#isStopped) this.#pass(false)
  }

  /** False: for longer than partitioner.availability.timeout.ms the broker has taken nothing of what waits for it. KIP-794. */
  isAvailable(nodeId: number): boolean {
    const { cluster, config } = this.#options
    const timeoutMs = config['partitioner.availability.timeout.ms']
    const sinceMs = timeoutMs > 0 ? this.#nodes.get(nodeId)?.refusingSinceMs : undefined
    return sinceMs === undefined || cluster.clock.monotonic() - sinceMs <= timeoutMs
  }

  stop(): void {
    this.#isStopped = true
    this.#timer?.cancel()
  }

  /** @param onlySealed What is still open waits for the end of the turn: more may come. */
  #pass(onlySealed: boolean): void {
    const { cluster, accumulator, identity, config } = this.#options
    const nowMs = cluster.clock.monotonic()
    const expiredMs = nowMs - config['delivery.timeout.ms']
    let nextDueMs = NEVER
    const byLeader = new Map<number, PartitionQueue[]>()
    for (const queue of accumulator.active) {
      this.#expire(queue, expiredMs)
      const head = queue.waiting[0]
      if (head === undefined) {
        accumulator.active.delete(queue)
        continue
      }
      nextDueMs = Math.min(nextDueMs, head.createdMs + config['delivery.timeout.ms'])
      const dueMs = onlySealed && !head.isSealed ? NEVER : this.#dueMs(queue, head, nowMs)
      if (dueMs > nowMs) {
        nextDueMs = Math.min(nextDueMs, dueMs)
        continue
      }
      const leaderId = cluster.metadata.partition(queue.topic, queue.partition)?.leaderId ?? -1
      if (leaderId < 0) {
        cluster.addInterest(queue.topic)
        cluster.requestRefresh()
        continue
      }
      const queues = byLeader.get(leaderId)
      if (queues === undefined) byLeader.set(leaderId, [queue])
      else queues.push(queue)
    }
    if (byLeader.size > 0 && identity !== undefined && identity.current === undefined) {
      identity.get((error) => {
        if (error !== undefined) accumulator.failWaiting(error)
        this.wake()
      })
      byLeader.clear()
    }
    for (const [leaderId, queues] of byLeader) this.#sendTo(leaderId, queues, nowMs, onlySealed)
    if (!onlySealed) this.#arm(nextDueMs, nowMs)
  }

  /** Monotonic time from which the queue's first batch may leave; NEVER: when something else has happened. */
  #dueMs(queue: PartitionQueue, head: ProducerBatch, nowMs: number): number {
    const { accumulator, identity, transactions, config } = this.#options
    if (transactions?.admits(queue) === false) return NEVER
    const isAlone = queue.inFlight.length === 0
    if (queue.renumber !== undefined && !isAlone) return NEVER
    if (head.isBuilding) return NEVER
    if (head.isRetry) return (identity !== undefined || this.#oneAtATime) && !isAlone ? NEVER : head.notBeforeMs
    if (isAlone) return nowMs
    if (this.#oneAtATime) return NEVER
    // A leader that has nothing of this producer takes any sequence number: were the first batch refused, those behind it would overtake it.
    if (identity !== undefined && queue.ackedProducerId !== identity.current?.producerId) return NEVER
    if (head.isSealed || accumulator.isFlushing || accumulator.memory.waiting > 0) return nowMs
    return head.createdMs + config['linger.ms']
  }

  /** What has waited for too long fails, unless it is under way; the oldest stand first. */
  #expire(queue: PartitionQueue, expiredMs: number): void {
    const { accumulator, config } = this.#options
    for (let head = queue.waiting[0]; head !== undefined && head.createdMs <= expiredMs; head = queue.waiting[0]) {
      if (head.isBuilding) return
      queue.waiting.shift()
      const where = `${head.topic}-${head.partition}`
      const why = head.lastError === undefined ? '' : `: ${head.lastError.message}`
      this.#outcomes.giveUp(
        queue,
        head,
        new TimeoutError(
          `${head.recordsCount} records for ${where} were not delivered within ${config['delivery.timeout.ms']} ms${why}`,
          head.lastError,
        ),
      )
      accumulator.active.add(queue)
    }
  }

  #sendTo(leaderId: number, queues: readonly PartitionQueue[], nowMs: number, onlySealed: boolean): void {
    const { cluster } = this.#options
    const node = this.#nodeOf(leaderId)
    if (node.throttledUntilMs > nowMs) {
      node.refusingSinceMs ??= nowMs
      this.#arm(node.throttledUntilMs, nowMs)
      return
    }
    const connection = cluster.openConnectionTo(leaderId)
    if (connection === undefined) {
      node.refusingSinceMs ??= nowMs
      this.#connect(leaderId, node)
      return
    }
    while (node.inFlight < this.#maxInFlight) {
      const batches = this.#collect(queues, nowMs, onlySealed)
      if (batches.length === 0) return
      node.refusingSinceMs = undefined
      this.#send(connection, node, batches)
    }
    node.refusingSinceMs ??= nowMs
  }

  #connect(leaderId: number, node: NodeState): void {
    if (node.isConnecting) return
    const { cluster } = this.#options
    node.isConnecting = true
    cluster.connectionTo(leaderId).then(
      () => {
        node.isConnecting = false
        this.wake()
      },
      async (error) => {
        if (cluster.closed) return
        cluster.logger.debug('cannot reach a leader', { leaderId, reason: messageOf(error) })
        if (error instanceof ClientError && error.fatal) this.#failWaitingFor(leaderId, error)
        await cluster.sleep(cluster.config['retry.backoff.ms']).catch(() => {})
        node.isConnecting = false
        this.wake()
      },
    )
  }

  /** The leader does not let this client in, and will not for being asked again. */
  #failWaitingFor(leaderId: number, error: ClientError): void {
    const { cluster, accumulator } = this.#options
    for (const queue of [...accumulator.active]) {
      if (cluster.metadata.partition(queue.topic, queue.partition)?.leaderId !== leaderId) continue
      const building = queue.waiting.filter(({ isBuilding }) => isBuilding)
      const failed = queue.waiting.splice(0).filter(({ isBuilding }) => !isBuilding)
      queue.waiting.push(...building)
      for (const batch of failed) this.#outcomes.giveUp(queue, batch, error)
    }
  }

  /** At most one batch of each queue, and no more bytes than a request may have. */
  #collect(queues: readonly PartitionQueue[], nowMs: number, onlySealed: boolean): ProducerBatch[] {
    const { accumulator, config } = this.#options
    const batches: ProducerBatch[] = []
    let bytes = 0
    for (const queue of queues) {
      const head = queue.waiting[0]
      if (head === undefined || (onlySealed && !head.isSealed) || this.#dueMs(queue, head, nowMs) > nowMs) continue
      if (!this.#prepare(queue, head)) continue
      const size = head.bytes!.length
      if (batches.length > 0 && bytes + size > config['max.request.size']) continue
      bytes += size
      queue.waiting.shift()
      queue.inFlight.push(head)
      batches.push(head)
      // Behind the others: who has much does not keep those from leaving who have little.
      accumulator.active.delete(queue)
      if (queue.waiting.length > 0) accumulator.active.add(queue)
    }
    return batches
  }

  /** Gives the batch its number and its bytes. False: they are being made. */
  #prepare(queue: PartitionQueue, batch: ProducerBatch): boolean {
    const { identity, accumulator, offload } = this.#options
    batch.isSealed = true
    const current = identity?.current
    if (current !== undefined) {
      if (queue.renumber !== undefined) queue.renumberWaiting(current)
      if (batch.baseSequence < 0) {
        // Compressing may take a while, and a number is taken in the order of leaving.
        if (batch.bytes === undefined && !this.#buildsHere(batch)) return this.#buildAside(batch, offload)
        queue.assignSequence(batch, current)
        if (batch.bytes !== undefined) batch.stamp()
      }
    }
    if (batch.bytes === undefined) {
      if (!this.#buildsHere(batch)) return this.#buildAside(batch, offload)
      batch.build()
      queue.lastBatchBytes = batch.uncompressedBytes
      accumulator.observe(batch)
    }
    return true
  }

  #buildsHere({ codec, uncompressedBytes }: ProducerBatch): boolean {
    const isSearching = codec === 'lz4' && this.#options.config['compression.lz4.level'] !== DEFAULT_LZ4_LEVEL
    return uncompressedBytes <= (isSearching ? SEARCHING_LZ4_BYTES : compressHereBytes[codec]) && isCodecReady(codec)
  }

  #buildAside(batch: ProducerBatch, offload: Offload): false {
    batch.isBuilding = true
    batch.builder.buildAside(offload).then(
      (bytes) => {
        batch.isBuilding = false
        batch.bytes = bytes
        batch.stamp()
        this.#options.accumulator.observe(batch)
        this.wake()
      },
      (error) => {
        batch.isBuilding = false
        const { accumulator } = this.#options
        const queue = accumulator.queueOf(batch.topic, batch.partition)
        const index = queue.waiting.indexOf(batch)
        if (index >= 0) queue.waiting.splice(index, 1)
        accumulator.fail(batch, new ClientError('COMPRESSION_FAILED', messageOf(error), { cause: error }))
        this.wake()
      },
    )
    return false
  }

  #send(connection: BrokerConnection, node: NodeState, batches: readonly ProducerBatch[]): void {
    const { cluster, config, metrics, transactions } = this.#options
    const acks = requiredAcks(config.acks)
    const sentMs = cluster.clock.monotonic()
    node.inFlight++
    this.#requestsInFlight++
    metrics.sent(batches, sentMs)
    for (const batch of batches) batch.attempts++
    const build = (version: number) =>
      requestOf(batches, version, acks, config['request.timeout.ms'], cluster, transactions?.transactionalId ?? null)
    const answer = acks === 0 ? connection.sendNoResponse(Produce, build) : connection.send(Produce, build, transactions?.produceVersion)
    if (producerChannels.request.hasSubscribers) {
      producerChannels.request.publish({ batches: batches.length, bytes: batches.reduce((sum, { bytes }) => sum + bytes!.length, 0) })
    }
    answer.then(
      (response) => {
        node.inFlight--
        this.#requestsInFlight--
        const nowMs = cluster.clock.monotonic()
        metrics.answered(nowMs - sentMs, response?.throttleTimeMs ?? 0, nowMs)
        node.throttledUntilMs = Math.max(node.throttledUntilMs, connection.throttledUntilMs)
        this.#outcomes.answered(batches, response ?? undefined)
        // What is full goes before the user's code has its turn, so that the broker has something to do meanwhile.
        if (!this.#isStopped) this.#pass(true)
        if (this.#options.accumulator.active.size > 0) this.wake()
      },
      (error: ClientError) => {
        node.inFlight--
        this.#requestsInFlight--
        this.#outcomes.unanswered(batches, error)
        this.wake()
      },
    )
  }

  #nodeOf(nodeId: number): NodeState {
    let node = this.#nodes.get(nodeId)
    if (node === undefined) {
      node = { inFlight: 0, isConnecting: false, refusingSinceMs: undefined, throttledUntilMs: 0 }
      this.#nodes.set(nodeId, node)
    }
    return node
  }

  #arm(dueMs: number, nowMs: number): void {
    if (dueMs === NEVER || (this.#timer !== undefined && this.#timerDueMs <= dueMs)) return
    this.#timer?.cancel()
    this.#timerDueMs = dueMs
    this.#timer = this.#options.cluster.clock.setTimer(Math.max(0, dueMs - nowMs), () => {
      this.#timer = undefined
      this.wake()
    })
  }
}

const OLDEST_BY_TOPIC_ID = 13

function requestOf(
  batches: readonly ProducerBatch[],
  version: number,
  acks: number,
  timeoutMs: number,
  cluster: Cluster,
  transactionalId: string | null,
) {
  const byTopic = new Map<string, { index: number; records: Buffer }[]>()
  for (const { topic, partition, bytes } of batches) {
    const entry = { index: partition, records: bytes! }
    const entries = byTopic.get(topic)
    if (entries === undefined) byTopic.set(topic, [entry])
    else entries.push(entry)
  }
  return {
    transactionalId,
    acks,
    timeoutMs,
    topicData: [...byTopic].map(([name, partitionData]) =>
      version >= OLDEST_BY_TOPIC_ID
        ? { topicId: cluster.metadata.topic(name)?.topicId ?? ZERO_UUID, partitionData }
        : { name, partitionData },
    ),
  }
}
