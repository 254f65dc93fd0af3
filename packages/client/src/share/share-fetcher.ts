import { messageOf, type Offload, type Timer } from '@tidelog/core'
import {
  errorName,
  errorTable,
  ShareAcknowledge,
  type ShareAcknowledgeResponse,
  ShareFetch,
  type ShareFetchResponse,
} from '@tidelog/protocol'
import type { BrokerConnection } from '../cluster/broker-connection.ts'
import type { Cluster } from '../cluster/cluster.ts'
import type { ShareConsumerConfig } from '../config/share-consumer-config.ts'
import type { RecordDeserializers } from '../consumer/consumer-record.ts'
import { BrokerError, ClientError, ClosedError, hasCode, UnsupportedVersionError } from '../errors.ts'
import { PartitionMap } from '../topic-partition.ts'
import { before, type Deadline } from '../wait.ts'
import { type AcknowledgementOutcome, acknowledgeCodes, type PartitionAcknowledgements } from './acknowledgements.ts'
import { type AcquiredRecord, readAcquired } from './acquired-records.ts'
import type { HeldRecord, RecordSource, ShareNode } from './held-record.ts'
import { LockKeeper, renewalRows } from './lock-keeper.ts'
import type { ShareMetrics } from './share-metrics.ts'
import { type SharedPartition, ShareSession } from './share-session.ts'

export interface ShareFetcherOptions<K, V> {
  readonly cluster: Cluster
  readonly config: ShareConsumerConfig
  readonly memberId: string
  readonly deserializers: RecordDeserializers<K, V>
  readonly offload: Offload
  readonly metrics: ShareMetrics
  /** What is assigned now. */
  readonly partitions: () => readonly SharedPartition[]
  /** Records can be handed out, or something has gone wrong. */
  readonly notify: () => void
  readonly onAcknowledged: (outcome: AcknowledgementOutcome) => void
  /** For the next poll. */
  readonly onError: (error: ClientError) => void
}

/** The part of one partition that one answer has brought. */
interface Chunk<K, V> extends RecordSource {
  readonly records: AcquiredRecord<K, V>[]
  next: number
}

/** The broker knows nothing of the session, or something else: what it had acquired for it is released. */
const sessionErrors: ReadonlySet<string> = new Set([
  'SHARE_SESSION_NOT_FOUND',
  'INVALID_SHARE_SESSION_EPOCH',
  'SHARE_SESSION_LIMIT_REACHED',
])
/** The partition is led elsewhere, or its topic is another one. */
const metadataErrors: ReadonlySet<string> = new Set([
  'NOT_LEADER_OR_FOLLOWER',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_TOPIC_OR_PARTITION',
  'UNKNOWN_TOPIC_ID',
  'INCONSISTENT_TOPIC_ID',
])
const acquireModes = { batch_optimized: 0, record_limit: 1 } as const
const OLDEST_WITH_MODES = 2
/**
 * Acknowledgements wait for a fetch to travel with, but not longer than this, nor than this part of a lock's time: the lock runs on meanwhile, and may have been renewed half
 * its time ago.
 */
const FLUSH_AFTER_MS = 1000
const FLUSHES_PER_LOCK = 6

/**
 * Acquires records while somebody waits for some, and no sooner: from then on their locks run. Brokers are asked at the same time, each with one request at a time, which
 * also brings what has been acknowledged; under `record_limit` one broker after the other.
 */
export class ShareFetcher<K, V> {
  readonly #options: ShareFetcherOptions<K, V>
  readonly #nodes = new Map<number, ShareNode>()
  readonly #chunks: Chunk<K, V>[] = []
  /** Acknowledgements on their way, and those that wait for a request. */
  readonly #unsettled = new Set<Promise<AcknowledgementOutcome>>()
  #flushTimer: Timer | undefined
  #isWanted = false
  #isStopped = false
  #nextNode = 0
  /** As brokers have last said; undefined: they have not. */
  acquisitionLockTimeoutMs: number | undefined
  readonly #keeper: LockKeeper
  /** What has been handed out, and its locks are to be kept. */
  #handedOut: () => Iterable<HeldRecord> = () => []

  constructor(options: ShareFetcherOptions<K, V>) {
    this.#options = options
    const { clock, logger } = options.cluster
    this.#keeper = new LockKeeper({
      clock,
      logger,
      lockMs: () => this.acquisitionLockTimeoutMs,
      held: () => this.#held(),
      renew: (node) => this.#renewDue(node),
    })
    options.cluster.onMetadata(() => this.#pass())
  }

  /** Has the locks of what waits to be handed out renewed, and of what `handedOut` names; undefined: no longer. */
  keepLocks(handedOut: (() => Iterable<HeldRecord>) | undefined): void {
    this.#handedOut = handedOut ?? (() => [])
    this.#keeper.turn(handedOut !== undefined)
  }

  /** Somebody waits for records; `false`: nobody does. */
  want(isWanted: boolean): void {
    this.#isWanted = isWanted
    if (isWanted) this.#pass()
  }

  /** The next record that is still ours. */
  take(): (AcquiredRecord<K, V> & RecordSource) | undefined {
    const nowMs = this.#options.cluster.clock.monotonic()
    for (let chunk = this.#chunks[0]; chunk !== undefined; chunk = this.#chunks[0]) {
      const acquired = chunk.records[chunk.next++]
      const { node, session, partition, lock } = chunk
      if (acquired !== undefined && !session.isOver && nowMs < lock.untilMs) return { ...acquired, node, session, partition, lock }
      this.#chunks.shift()
    }
    return undefined
  }

  /** What is no longer assigned is handed out no more; brokers are told with the next request, or when the sessions end. */
  assignmentChanged(): void {
    const assigned = new PartitionMap(this.#options.partitions().map((partition) => [partition, partition.topicId]))
    for (const chunk of this.#chunks.splice(0)) {
      const { session, partition, records, next } = chunk
      if (assigned.get(partition) === partition.topicId) this.#chunks.push(chunk)
      else for (const { record } of records.slice(next)) this.#add(session, partition, record.offset, acknowledgeCodes.release)
    }
    this.#pass()
  }

  /** Says something of a record for good; it travels with the next request to its broker. */
  acknowledge({ session, partition }: RecordSource, offset: number, type: 'accept' | 'release' | 'reject'): void {
    this.#add(session, partition, offset, acknowledgeCodes[type])
  }

  /** Sends what has been acknowledged, and waits for its outcomes and those of what is on its way. */
  async flush(): Promise<AcknowledgementOutcome[]> {
    this.#flushTimer?.cancel()
    this.#flushTimer = undefined
    for (const node of this.#nodes.values()) {
      // Those whom it concerns hear of a failure by the outcomes.
      if (node.session.hasAcknowledgements) this.#inTurn(node, () => this.#acknowledgeNow(node)).catch(nothing)
    }
    return Promise.all([...this.#unsettled])
  }

  /** Starts the lock of a record anew. @throws BrokerError, UnsupportedVersionError, DisconnectedError… */
  renew(source: RecordSource, offset: number): Promise<void> {
    const { node, session, partition } = source
    return this.#inTurn(node, async () => {
      const where = `${partition.topic}-${partition.partition}@${offset}`
      if (session.isOver) throw new BrokerError(errorTable.SHARE_SESSION_NOT_FOUND.code, where)
      const response = await this.#sendRenewal(node, [{ ...source, offset }])
      const answer = response.responses.find(({ topicId }) => topicId === partition.topicId)?.partitions[0]
      if (answer !== undefined && answer.errorCode !== 0) throw new BrokerError(answer.errorCode, where, answer.errorMessage)
    })
  }

  async #sendRenewal(node: ShareNode, held: readonly HeldRecord[]): Promise<ShareAcknowledgeResponse> {
    const { session } = node
    const response = await this.#send(node, session, (connection, common) => {
      if (connection.versionOf(ShareAcknowledge) < OLDEST_WITH_MODES)
        throw new UnsupportedVersionError('the broker cannot renew acquisition locks')
      return connection.send(ShareAcknowledge, { ...common, ...session.acknowledge([]), topics: renewalRows(held), isRenewAck: true })
    })
    if (response.acquisitionLockTimeoutMs > 0) this.acquisitionLockTimeoutMs = response.acquisitionLockTimeoutMs
    return response
  }

  /** Renews those whose time has come, of what is held by then. */
  #renewDue(node: ShareNode): Promise<void> {
    const { cluster } = this.#options
    return this.#inTurn(node, async () => {
      const due = [...this.#held()].filter((held) => held.node === node && held.session === node.session && this.#keeper.isDue(held))
      if (due.length === 0) return
      const sentMs = cluster.clock.monotonic()
      const { responses } = await this.#sendRenewal(node, due)
      const refused = new Set(
        responses.flatMap(({ topicId, partitions }) =>
          partitions.filter(({ errorCode }) => errorCode !== 0).map(({ partitionIndex }) => `${topicId}/${partitionIndex}`),
        ),
      )
      const untilMs = sentMs + (this.acquisitionLockTimeoutMs ?? 0)
      for (const { lock, partition } of due) {
        if (!refused.has(`${partition.topicId}/${partition.partition}`)) lock.untilMs = Math.max(lock.untilMs, untilMs)
      }
    })
  }

  /** All whose locks run and are to be kept. */
  *#held(): Generator<HeldRecord> {
    for (const { records, next, node, session, partition, lock } of this.#chunks) {
      for (const { record } of records.slice(next)) yield { node, session, partition, lock, offset: record.offset }
    }
    yield* this.#handedOut()
  }

  /** Sends what has been acknowledged and ends every session: brokers release the rest. */
  async endSessions(deadline: Deadline): Promise<void> {
    const { cluster } = this.#options
    this.#chunks.length = 0
    const endAll = Promise.all([...this.#nodes.values()].map((node) => this.#inTurn(node, () => this.#endSession(node)).catch(nothing)))
    await before(endAll, cluster.clock, deadline, 'ending share sessions').catch((error: unknown) => {
      cluster.logger.debug('share sessions were not ended', { reason: messageOf(error) })
    })
    for (const node of this.#nodes.values()) this.#lose(node, new ClosedError('share session'))
  }

  /** As `endSessions`, and fetches nothing more. */
  async stop(deadline: Deadline): Promise<void> {
    this.#isStopped = true
    this.#keeper.turn(false)
    await this.endSessions(deadline)
    this.#flushTimer?.cancel()
  }

  #add(session: ShareSession, partition: SharedPartition, offset: number, code: 1 | 2 | 3): void {
    const acknowledgements = session.acknowledgementsOf(partition)
    acknowledgements.add(offset, code)
    // The session has ended with everything that it had acquired.
    if (session.isOver)
      this.#settleAll(session.takeAcknowledgements(), new BrokerError(errorTable.SHARE_SESSION_NOT_FOUND.code, 'acknowledgement'))
  }

  readonly #watch = (acknowledgements: PartitionAcknowledgements): void => {
    const outcome = acknowledgements.settled.then((error) => {
      const result = { ...acknowledgements.partition, offsets: acknowledgements.offsets(), error }
      this.#unsettled.delete(outcome)
      this.#options.metrics.acknowledged(result)
      if (result.offsets.length > 0) this.#options.onAcknowledged(result)
      return result
    })
    this.#unsettled.add(outcome)
    // With what is fetched next, if that is soon.
    const afterMs = Math.min(FLUSH_AFTER_MS, (this.acquisitionLockTimeoutMs ?? Number.POSITIVE_INFINITY) / FLUSHES_PER_LOCK)
    this.#flushTimer ??= this.#options.cluster.clock.setTimer(afterMs, () => {
      this.#flushTimer = undefined
      this.flush().catch(nothing)
    })
  }

  // --- one broker --------------------------------------------------------------------------------------------------------------------

  #nodeOf(nodeId: number): ShareNode {
    let node = this.#nodes.get(nodeId)
    if (node === undefined) {
      node = { nodeId, session: new ShareSession(this.#watch), queue: Promise.resolve(), isFetching: false, notBeforeMs: 0, failures: 0 }
      this.#nodes.set(nodeId, node)
    }
    return node
  }

  #inTurn<T>(node: ShareNode, request: () => Promise<T>): Promise<T> {
    const result = node.queue.then(request)
    node.queue = result.catch(nothing)
    return result
  }

  /** A request of the session; when its outcome is unknown or the broker does not know the session, that is over. */
  async #send<T extends { readonly errorCode: number; readonly errorMessage: string | null }>(
    node: ShareNode,
    session: ShareSession,
    send: (connection: BrokerConnection, common: { groupId: string; memberId: string }) => Promise<T>,
  ): Promise<T> {
    const { cluster, config, memberId } = this.#options
    try {
      // The broker ends a session with its connection, so all of its requests share one.
      const connection = await cluster.connectionTo(node.nodeId, 'fetch')
      const response = await send(connection, { groupId: config['group.id']!, memberId })
      if (response.errorCode !== 0)
        throw new BrokerError(response.errorCode, `share session with broker ${node.nodeId}`, response.errorMessage)
      session.advance()
      return response
    } catch (error) {
      if (!(error instanceof UnsupportedVersionError)) this.#lose(node, error)
      throw error
    }
  }

  /** What the session had acquired is no longer ours, and what was to be said of it has no effect. */
  #lose(node: ShareNode, reason: unknown): void {
    const { session } = node
    session.end()
    node.session = new ShareSession(this.#watch)
    const error = reason instanceof ClientError ? reason : new ClientError('UNEXPECTED', messageOf(reason), { cause: reason })
    this.#settleAll(session.takeAcknowledgements(), error)
  }

  #settleAll(acknowledgements: readonly PartitionAcknowledgements[], error: ClientError | undefined): void {
    for (const one of acknowledgements) one.settle(error)
  }

  /** @param errorOf What the answer says of a partition's acknowledgements. */
  #settle(
    acknowledgements: readonly PartitionAcknowledgements[],
    responses: readonly { readonly topicId: string; readonly partitions: readonly { readonly partitionIndex: number }[] }[],
    errorOf: (partition: never) => readonly [code: number, message: string | null],
  ): void {
    for (const one of acknowledgements) {
      const { topic, partition } = one.partition
      const rows = responses.find(({ topicId }) => topicId === one.topicId)?.partitions
      const row = rows?.find(({ partitionIndex }) => partitionIndex === partition)
      // An answer names only what it has something to say of.
      const [code, message] = row === undefined ? [0, null] : errorOf(row as never)
      one.settle(code === 0 ? undefined : new BrokerError(code, `acknowledgement of ${topic}-${partition}`, message))
    }
  }

  async #acknowledgeNow(node: ShareNode): Promise<void> {
    const { session } = node
    const acknowledgements = session.takeAcknowledgements()
    if (acknowledgements.length === 0) return
    try {
      const response = await this.#send(node, session, (connection, common) =>
        connection.send(ShareAcknowledge, { ...common, ...session.acknowledge(acknowledgements) }),
      )
      this.#settle(
        acknowledgements,
        response.responses,
        ({ errorCode, errorMessage }: { errorCode: number; errorMessage: string | null }) => [errorCode, errorMessage],
      )
    } catch (error) {
      this.#settleAll(
        acknowledgements,
        error instanceof ClientError ? error : new ClientError('UNEXPECTED', messageOf(error), { cause: error }),
      )
      throw error
    }
  }

  async #endSession(node: ShareNode): Promise<void> {
    const { session } = node
    if (!session.isOpen) return
    if (session.hasAcknowledgements) await this.#acknowledgeNow(node)
    await this.#send(node, session, (connection, common) =>
      connection.send(ShareAcknowledge, { ...common, ...session.acknowledge([], true) }),
    )
    this.#lose(node, new ClosedError('share session'))
  }

  // --- fetching ----------------------------------------------------------------------------------------------------------------------

  #pass(): void {
    const { cluster, partitions, config } = this.#options
    if (!this.#isWanted || this.#isStopped || cluster.closed || this.#chunks.length > 0) return
    const byLeader = new Map<number, SharedPartition[]>()
    for (const partition of partitions()) {
      const leaderId = cluster.metadata.partition(partition.topic, partition.partition)?.leaderId ?? -1
      if (leaderId < 0) {
        cluster.requestRefresh()
        continue
      }
      const known = byLeader.get(leaderId)
      if (known === undefined) byLeader.set(leaderId, [partition])
      else known.push(partition)
    }
    for (const node of this.#nodes.values())
      if (node.session.isOpen && !byLeader.has(node.nodeId)) this.#inTurn(node, () => this.#endSession(node)).catch(nothing)
    const wanted = [...byLeader]
    if (config['share.acquire.mode'] !== 'record_limit') {
      for (const [nodeId, group] of wanted) this.#fetch(this.#nodeOf(nodeId), group)
    } else if (wanted.length > 0 && ![...this.#nodes.values()].some(({ isFetching }) => isFetching)) {
      const [nodeId, group] = wanted[this.#nextNode++ % wanted.length]!
      this.#fetch(this.#nodeOf(nodeId), group)
    }
  }

  #fetch(node: ShareNode, wanted: readonly SharedPartition[]): void {
    if (node.isFetching) return
    const { cluster, onError, notify } = this.#options
    node.isFetching = true
    const waitMs = Math.max(0, node.notBeforeMs - cluster.clock.monotonic())
    const run = async () => {
      if (waitMs > 0) await cluster.sleep(waitMs)
      await this.#inTurn(node, () => this.#fetchNow(node, wanted))
    }
    run()
      .then(
        () => {
          node.failures = 0
        },
        (error: unknown) => {
          if (cluster.closed || this.#isStopped) return
          cluster.logger.debug('a share fetch failed', { nodeId: node.nodeId, reason: messageOf(error) })
          cluster.requestRefresh()
          // A session that the broker does not know is begun anew at once, once.
          const isFirst = node.failures++ === 0 && hasCode(error, 'SHARE_SESSION_NOT_FOUND', 'INVALID_SHARE_SESSION_EPOCH')
          node.notBeforeMs = isFirst ? 0 : cluster.clock.monotonic() + cluster.retryBackoffMs(node.failures)
          const isTransient = error instanceof ClientError && (error.retriable || sessionErrors.has(error.code))
          if (!isTransient)
            onError(error instanceof ClientError ? error : new ClientError('UNEXPECTED', messageOf(error), { cause: error }))
        },
      )
      .finally(() => {
        node.isFetching = false
        notify()
        this.#pass()
      })
  }

  async #fetchNow(node: ShareNode, wanted: readonly SharedPartition[]): Promise<void> {
    const { cluster, config, metrics } = this.#options
    const { session } = node
    const acknowledgements = session.isOpen ? session.takeAcknowledgements() : []
    const mode = config['share.acquire.mode'] === 'record_limit' ? 'record_limit' : 'batch_optimized'
    const maxWaitMs = config['fetch.max.wait.ms']
    try {
      const sentMs = cluster.clock.monotonic()
      const response = await this.#send(node, session, (connection, common) => {
        if (mode === 'record_limit' && connection.versionOf(ShareFetch) < OLDEST_WITH_MODES)
          throw new UnsupportedVersionError('the broker does not know shareAcquireMode: record_limit')
        const request = {
          ...common,
          ...session.fetch(wanted, acknowledgements),
          maxWaitMs,
          minBytes: config['fetch.min.bytes'],
          maxBytes: config['fetch.max.bytes'],
          maxRecords: config['max.poll.records'],
          batchSize: config['max.poll.records'],
          shareAcquireMode: acquireModes[mode],
        }
        return connection.send(ShareFetch, request, { timeoutMs: config['request.timeout.ms'] + maxWaitMs })
      })
      const nowMs = cluster.clock.monotonic()
      metrics.answered(nowMs - sentMs, response.throttleTimeMs)
      this.#settle(
        acknowledgements,
        response.responses,
        ({ acknowledgeErrorCode, acknowledgeErrorMessage }: { acknowledgeErrorCode: number; acknowledgeErrorMessage: string | null }) => [
          acknowledgeErrorCode,
          acknowledgeErrorMessage,
        ],
      )
      if (response.acquisitionLockTimeoutMs > 0) this.acquisitionLockTimeoutMs = response.acquisitionLockTimeoutMs
      // The locks run from when the broker took the records, which it may have done at once.
      await this.#take(node, session, response, sentMs + (this.acquisitionLockTimeoutMs ?? Number.POSITIVE_INFINITY))
    } catch (error) {
      this.#settleAll(
        acknowledgements,
        error instanceof ClientError ? error : new ClientError('UNEXPECTED', messageOf(error), { cause: error }),
      )
      throw error
    }
  }

  async #take(node: ShareNode, session: ShareSession, response: ShareFetchResponse, lockedUntilMs: number): Promise<void> {
    const { cluster, config, deserializers, offload, onError, metrics, partitions } = this.#options
    const assigned = partitions()
    let recordsCount = 0
    let bytes = 0
    for (const { topicId, partitions: rows } of response.responses) {
      for (const row of rows) {
        const partition = assigned.find((one) => one.topicId === topicId && one.partition === row.partitionIndex)
        // Taken from this member meanwhile: the broker releases what it has acquired for it.
        if (partition === undefined) continue
        if (row.errorCode !== 0) {
          this.#refused(partition, row, response)
          continue
        }
        if (row.records === null || row.acquiredRecords.length === 0) continue
        const options = { deserializers, checkCrcs: config['check.crcs'], offload }
        const { records, error } = await readAcquired(partition, row.records, row.acquiredRecords, session, options)
        if (error !== undefined) onError(error)
        recordsCount += records.length
        bytes += row.records.length
        if (records.length > 0) this.#chunks.push({ node, session, partition, records, next: 0, lock: { untilMs: lockedUntilMs } })
      }
    }
    if (bytes > 0) metrics.acquired(recordsCount, bytes)
    if (recordsCount > 0) this.#keeper.acquired()
    if (this.#chunks.length === 0 && response.responses.some(({ partitions: rows }) => rows.some(({ errorCode }) => errorCode !== 0)))
      node.notBeforeMs = cluster.clock.monotonic() + config['retry.backoff.ms']
  }

  #refused(
    { topic, partition }: SharedPartition,
    row: ShareFetchResponse['responses'][number]['partitions'][number],
    { nodeEndpoints }: ShareFetchResponse,
  ): void {
    const { cluster, onError } = this.#options
    const { leaderId, leaderEpoch } = row.currentLeader
    if (metadataErrors.has(errorName(row.errorCode))) {
      if (leaderId < 0 || !cluster.metadata.hint({ topic, partition, leaderId, leaderEpoch }, nodeEndpoints)) cluster.requestRefresh()
      return
    }
    const error = new BrokerError(row.errorCode, `${topic}-${partition}`, row.errorMessage)
    if (error.retriable) cluster.requestRefresh()
    else onError(error)
  }
}

const nothing = (): void => {}
