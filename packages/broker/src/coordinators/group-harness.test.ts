import { seededRandom, silentLogger, ZERO_UUID } from '@tidelog/core'
import { type Api, batchHeader, type ErrorName, iterateBatches, KafkaError, type RequestOf, type ResponseInput } from '@tidelog/protocol'
import { ManualClock } from '@tidelog/testkit'
import { type DefinedHandler, noResponse } from '../define-handler.ts'
import type { RequestContext } from '../request-context.ts'
import type { CoordinatorLog } from './coordinator-log.ts'
import { GroupCoordinatorService } from './group-coordinator-service.ts'

/** A partition of the offsets topic in memory, whose appends can be held back and failed. */
export class MemoryLog implements CoordinatorLog {
  maxBatchBytes = 1 << 20
  readonly batches: Buffer[] = []
  #endOffset = 0
  #gate: { promise: Promise<void>; open: () => void } | undefined
  failure: KafkaError | undefined

  async append(batch: Buffer): Promise<void> {
    await this.#gate?.promise
    if (this.failure !== undefined) throw this.failure
    batchHeader.setBaseOffset(batch, 0, this.#endOffset)
    for (const { recordsCount } of iterateBatches(batch)) this.#endOffset += recordsCount
    this.batches.push(batch)
  }

  async *read(): AsyncGenerator<readonly Buffer[]> {
    await this.#gate?.promise
    for (const batch of [...this.batches]) yield [batch]
  }

  /** Appends and reads wait until `release`. */
  hold(): void {
    let open = () => {}
    const promise = new Promise<void>((resolve) => {
      open = resolve
    })
    this.#gate = { promise, open }
  }

  release(): void {
    this.#gate?.open()
    this.#gate = undefined
  }
}

const refusals: Readonly<Record<string, ErrorName>> = {
  Topic: 'TOPIC_AUTHORIZATION_FAILED',
  Group: 'GROUP_AUTHORIZATION_FAILED',
  TransactionalId: 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED',
}

export const topicIds = { orders: 'b3JkZXJzb3JkZXJzb3JkZQ', payments: 'cGF5bWVudHNwYXltZW50cw' }

const topicViews = Object.entries(topicIds).map(([name, topicId]) => ({ name, topicId, partitionCount: 3, racksOf: () => [] }))

/** What the handlers of groups need of a broker: a group coordinator over one partition in memory, and two topics of three partitions. */
export class GroupHarness {
  readonly clock = new ManualClock()
  readonly log: MemoryLog
  readonly groups: GroupCoordinatorService
  readonly denied = new Set<string>()
  autoCreation: () => Promise<void> = async () => {}
  leaderId: number | undefined = 1
  featureLevel = 1

  private constructor(log: MemoryLog) {
    this.log = log
    this.groups = new GroupCoordinatorService({
      config: {
        minSessionTimeoutMs: 6000,
        maxSessionTimeoutMs: 1_800_000,
        maxSize: 1000,
        initialRebalanceDelayMs: 0,
        offsetMetadataMaxBytes: 4096,
        offsetsRetentionMs: 7 * 86_400_000,
        offsetsRetentionCheckIntervalMs: 600_000,
        consumer: {
          maxSize: 1000,
          assignors: ['uniform', 'range'],
          migrationPolicy: 'bidirectional',
          settingsOf: () => ({ sessionTimeoutMs: 45_000, heartbeatIntervalMs: 5000, assignmentIntervalMs: 0 }),
        },
      },
      topics: {
        versionOfNewTopics: 1,
        byName: (name) => topicViews.find((topic) => topic.name === name),
        byId: (topicId) => topicViews.find((topic) => topic.topicId === topicId),
        names: () => topicViews.map(({ name }) => name),
      },
      codec: 'none',
      loadBufferBytes: 1 << 20,
      partitionCount: () => 1,
      clock: this.clock,
      random: seededRandom(1),
      logger: silentLogger,
    })
  }

  static async start(log = new MemoryLog()): Promise<GroupHarness> {
    const harness = new GroupHarness(log)
    await harness.groups.elected(0, 0, log)
    return harness
  }

  /** A broker that begins with what this one has written. */
  restarted(): Promise<GroupHarness> {
    return GroupHarness.start(this.log)
  }

  context(apiVersion: number): RequestContext {
    const { groups, denied, leaderId } = this
    const names = new Map(Object.entries(topicIds).map(([name, id]) => [id, name]))
    const isAuthorized = (operation: string, type: string, name: string) => !denied.has(`${operation} ${type} ${name}`)
    const endpoint = { listener: 'PLAINTEXT', host: 'broker', port: 9092, securityProtocol: 'PLAINTEXT' }
    const context = {
      apiVersion,
      clientId: 'client',
      connection: { remoteAddress: '127.0.0.1', listenerName: 'PLAINTEXT' },
      broker: {
        groups,
        transactions: { partitionOf: () => 0 },
        logger: silentLogger,
        config: { 'group.coordinator.rebalance.protocols': ['classic', 'consumer'] },
        autoTopicCreation: { ensure: () => this.autoCreation() },
        image: {
          featureLevel: () => this.featureLevel,
          topic: (name: string) => (Object.hasOwn(topicIds, name) ? { topicId: topicIds[name as keyof typeof topicIds] } : undefined),
          topicName: (id: string) => names.get(id),
          hasPartition: (name: string, index: number) => Object.hasOwn(topicIds, name) && index >= 0 && index < 3,
          partition: () => (leaderId === undefined ? undefined : { leaderId }),
          brokers: new Map([[1, { id: 1, endpoints: new Map([['PLAINTEXT', endpoint]]) }]]),
        },
      },
      isAuthorized,
      authorize(operation: string, type: string, name: string) {
        if (!isAuthorized(operation, type, name)) throw new KafkaError(refusals[type] ?? 'CLUSTER_AUTHORIZATION_FAILED')
      },
    }
    // Stands for the parts of a broker that handlers of groups touch.
    return context as unknown as RequestContext
  }

  /** A call as dispatch makes it: what the handler throws becomes its error response. */
  async call<A extends Api>(handler: DefinedHandler<A>, apiVersion: number, request: RequestOf<A>): Promise<ResponseInput<A>> {
    try {
      const response = await handler.handle(request, this.context(apiVersion))
      if (response === noResponse) throw new Error('a handler of groups did not answer')
      return response
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error
      const response = handler.errorResponse?.(request, error.code, error.message, apiVersion)
      return response ?? ({ errorCode: error.code } as unknown as ResponseInput<A>)
    }
  }
}

/** Lets promises that have nothing to wait for run on. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

export const joinRequest = {
  groupId: 'g',
  sessionTimeoutMs: 10_000,
  rebalanceTimeoutMs: 60_000,
  memberId: '',
  groupInstanceId: null,
  protocolType: 'consumer',
  protocols: [{ name: 'range', metadata: Buffer.from('m') }],
  reason: null,
}

export const commitRequest = {
  groupId: 'g',
  generationIdOrMemberEpoch: -1,
  memberId: '',
  groupInstanceId: null,
  retentionTimeMs: -1,
  topics: [
    {
      name: 'orders',
      topicId: ZERO_UUID,
      partitions: [{ partitionIndex: 0, committedOffset: 5, committedLeaderEpoch: -1, commitTimestamp: -1, committedMetadata: 'm' }],
    },
  ],
}
