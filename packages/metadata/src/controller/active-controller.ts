import type { Timer } from '@tidelog/core'
import { KafkaError } from '@tidelog/protocol'
import { type FeatureUpdate, planFeatureUpdates } from '../features.ts'
import { ifThere, isStoreError } from '../store/metadata-store.ts'
import { brokerIdPath, DELETE_TOPICS, decodeFeatures, decodeLogDirFailure, FEATURE, LOG_DIR_EVENTS, TOPICS } from '../znodes.ts'
import { type ClusterState, loadBrokers, loadClusterState, loadTopic } from './cluster-state.ts'
import {
  type ChangedPartition,
  deleteReplicasRequest,
  leaderAndIsrRequest,
  type Sender,
  updateMetadataRequest,
} from './control-requests.ts'
import { ControlSender } from './control-sender.ts'
import type { ControllerOptions } from './controller-options.ts'
import { ControllerStore, type ControllerTerm, type LeadershipChange } from './controller-store.ts'
import { type NewPartitions, planPartitions } from './create-partitions.ts'
import { type CreatedTopic, type NewTopic, type PlannedTopic, planTopics, type TopicOutcome } from './create-topics.ts'
import {
  ELECTION_REFUSALS,
  type ElectionType,
  electLeader,
  firstLeadership,
  leadershipAfterBrokerChange,
  type NextLeadership,
} from './leader-election.ts'

/**
 * One term of office. Every decision is planned by a pure function on `state`, written to the store, put into `state` and told to the
 * brokers, in that order and one decision after the other; nobody waits for brokers while others wait for a decision.
 */
export class ActiveController {
  readonly #options: ControllerOptions
  readonly #state: ClusterState
  readonly #store: ControllerStore
  readonly #sender: Sender
  readonly #brokers: ControlSender
  #deciding: Promise<unknown> = Promise.resolve()
  /** Until the brokers know what has been decided so far. */
  #telling: Promise<unknown> = Promise.resolve()
  /** Counts of children under /brokers/topics and /admin/delete_topics as our own writes left them. */
  #ownTopicChanges = 0
  #ownDeletionChanges = 0
  /** Deletions under way, by topic. */
  readonly #deletions = new Map<string, Promise<void>>()
  /** What ends the watch of a broker's registration, by its id. */
  readonly #brokerWatches = new Map<number, () => void>()
  readonly #onBrokerEvent: () => void

  private constructor(options: ControllerOptions, term: ControllerTerm, state: ClusterState, onBrokerEvent: () => void) {
    this.#options = options
    this.#onBrokerEvent = onBrokerEvent
    this.#state = state
    this.#store = new ControllerStore(options.store, term)
    this.#sender = { controllerId: options.brokerId, controllerEpoch: term.epoch }
    this.#brokers = new ControlSender(options.channel, options.logger)
  }

  /**
   * Reads the cluster's state, gives leaders to partitions that lack one, and tells all brokers.
   * @param onBrokerEvent Called when a registration has changed: it wants `onBrokersChange` to be called.
   */
  static async start(options: ControllerOptions, term: ControllerTerm, onBrokerEvent: () => void): Promise<ActiveController> {
    const { store, random } = options
    const before = { topics: await store.exists(TOPICS), deletions: await store.exists(DELETE_TOPICS) }
    const active = new ActiveController(options, term, await loadClusterState(store, random), onBrokerEvent)
    active.#ownTopicChanges = before.topics?.cversion ?? 0
    active.#ownDeletionChanges = before.deletions?.cversion ?? 0
    await active.#decide(async () => {
      const all = active.#partitions(() => true)
      await active.#store.setLeaderships(active.#electionsIn(all))
      active.#tell(all, [...active.#state.brokers.keys()])
      active.#watchBrokers()
      active.#resumeDeletions()
    })
    return active
  }

  /** Resolves when the brokers have been told what was decided so far. */
  async settled(): Promise<void> {
    await this.#telling
  }

  close(): void {
    for (const unwatch of this.#brokerWatches.values()) unwatch()
    this.#brokers.close()
  }

  async createTopics(
    topics: readonly NewTopic[],
    { validateOnly = false, timeoutMs }: { validateOnly?: boolean; timeoutMs: number },
  ): Promise<TopicOutcome<CreatedTopic>[]> {
    const { config, validateTopicConfigs, random } = this.#options
    const { outcomes, told } = await this.#decide(async () => {
      const plans = planTopics(topics, this.#state, {
        defaults: config().topicDefaults,
        validateConfigs: validateTopicConfigs,
        random,
      })
      const changed: ChangedPartition[] = []
      const outcomes = await Promise.all(
        plans.map(async (planned): Promise<TopicOutcome<CreatedTopic>> => {
          if ('error' in planned) return planned
          try {
            if (!validateOnly) changed.push(...(await this.#createTopic(planned.plan)))
            return { name: planned.name, created: summaryOf(planned.plan) }
          } catch (error) {
            if (!(error instanceof KafkaError) || error.errorName === 'NOT_CONTROLLER') throw error
            return { name: planned.name, error }
          }
        }),
      )
      return { outcomes, told: this.#tell(changed) }
    })
    if (await this.#within(timeoutMs, told)) return outcomes
    return outcomes.map((outcome) => ('error' in outcome ? outcome : { name: outcome.name, error: timedOut() }))
  }

  async createPartitions(
    requests: readonly NewPartitions[],
    { validateOnly = false, timeoutMs }: { validateOnly?: boolean; timeoutMs: number },
  ): Promise<Map<string, KafkaError | undefined>> {
    const outcomes = new Map<string, KafkaError | undefined>()
    const { told } = await this.#decide(async () => {
      const changed: ChangedPartition[] = []
      for (const plan of planPartitions(requests, this.#state, { random: this.#options.random })) {
        outcomes.set(plan.name, 'error' in plan ? plan.error : undefined)
        if ('error' in plan || validateOnly) continue
        const topic = await this.#store.addPartitions(this.#state.topics.get(plan.name)!, plan.replicas)
        this.#state.setTopic(topic)
        const added = [...plan.replicas.keys()].map((index) => ({ topic, index, isNew: true }))
        await this.#store.setLeaderships(this.#electionsIn(added))
        changed.push(...added)
      }
      return { told: this.#tell(changed) }
    })
    if (await this.#within(timeoutMs, told)) return outcomes
    for (const [name, error] of outcomes) outcomes.set(name, error ?? timedOut())
    return outcomes
  }

  async deleteTopics(names: readonly string[], { timeoutMs }: { timeoutMs: number }): Promise<Map<string, KafkaError | undefined>> {
    const outcomes = new Map<string, KafkaError | undefined>()
    const deletions = await this.#decide(async () => {
      for (const name of names) {
        if (!this.#state.topics.has(name)) {
          outcomes.set(name, new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', 'This server does not host this topic-partition.'))
          continue
        }
        if (!this.#state.deleting.has(name)) {
          await this.#store.markForDeletion(name)
          this.#ownDeletionChanges += 1
          this.#state.deleting.add(name)
        }
        outcomes.set(name, undefined)
      }
      return this.#resumeDeletions()
    })
    const wanted = [...outcomes].flatMap(([name, error]) => (error === undefined ? [deletions.get(name)] : []))
    if (await this.#within(timeoutMs, Promise.all(wanted))) {
      for (const [name, error] of outcomes) if (error === undefined && this.#state.deleting.has(name)) outcomes.set(name, timedOut())
      return outcomes
    }
    for (const [name, error] of outcomes) outcomes.set(name, error ?? timedOut())
    return outcomes
  }

  async electLeaders(
    type: ElectionType,
    wanted: ReadonlyMap<string, readonly number[]> | undefined,
    { timeoutMs }: { timeoutMs: number },
  ): Promise<{ topic: string; partition: number; error: KafkaError | undefined }[]> {
    const results: { topic: string; partition: number; error: KafkaError | undefined }[] = []
    const { told } = await this.#decide(async () => {
      const changes: LeadershipChange[] = []
      const partitions = wanted ?? new Map([...this.#state.topics].map(([name, { partitions }]) => [name, [...partitions.keys()]]))
      for (const [name, indexes] of partitions) {
        const topic = this.#state.topics.get(name)
        for (const index of indexes) {
          const state = topic?.partitions.get(index)
          if (topic === undefined || state === undefined) {
            const what = topic === undefined ? `topic as ${name}` : `partition as ${name}-${index}`
            results.push({ topic: name, partition: index, error: new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `No such ${what}`) })
            continue
          }
          const outcome = electLeader(state, { brokers: this.#state.brokersFor(name, index) }, type)
          if (typeof outcome !== 'string') changes.push({ topic, index, next: outcome })
          if (outcome === 'ELECTION_NOT_NEEDED' && wanted === undefined) continue
          const error = typeof outcome === 'string' ? new KafkaError(outcome, ELECTION_REFUSALS[outcome]) : undefined
          results.push({ topic: name, partition: index, error })
        }
      }
      await this.#store.setLeaderships(changes)
      return { told: this.#tell(changes.map(({ topic, index }) => ({ topic, index, isNew: false }))) }
    })
    if (await this.#within(timeoutMs, told)) return results
    return results.map((result) => ({ ...result, error: result.error ?? timedOut() }))
  }

  updateFeatures(updates: readonly FeatureUpdate[], { validateOnly }: { validateOnly: boolean }): Promise<void> {
    return this.#decide(async () => {
      const { brokerId, features, store, logger } = this.#options
      const node = await store.get(FEATURE)
      const levels = planFeatureUpdates(updates, decodeFeatures(node.data), [
        { label: `Local controller ${brokerId}`, features },
        ...[...this.#state.brokers.values()].map((broker) => ({ label: `Broker ${broker.id}`, features: broker.features })),
      ])
      if (validateOnly || updates.length === 0) return
      await this.#store.setFeatures(levels, node.stat.version)
      logger.info('finalized feature levels', { levels: Object.fromEntries(levels) })
    })
  }

  /** Brokers have registered, or gone, or changed their registration. */
  onBrokersChange(): Promise<void> {
    return this.#decide(async () => {
      const { brokers } = this.#state
      const now = new Map((await loadBrokers(this.#options.store)).map((broker) => [broker.id, broker]))
      const changed = new Set<number>()
      for (const [id, broker] of now) if (brokers.get(id)?.brokerEpoch !== broker.brokerEpoch) changed.add(id)
      for (const id of brokers.keys()) if (!now.has(id)) changed.add(id)
      brokers.clear()
      for (const [id, broker] of now) brokers.set(id, broker)
      this.#watchBrokers()
      if (changed.size === 0) {
        this.#telling = Promise.all([this.#telling, this.#tellMetadata([], brokers.keys())])
        return
      }
      for (const id of changed) this.#state.forgetOfflineReplicas(id)
      this.#options.logger.info('brokers have come or gone', { changed: [...changed], live: [...brokers.keys()] })
      const affected = this.#partitions(({ replicas }) => replicas.some((id) => changed.has(id)))
      await this.#store.setLeaderships(this.#electionsIn(affected))
      this.#tell(
        affected,
        [...changed].filter((id) => brokers.has(id)),
      )
      this.#resumeDeletions()
    })
  }

  /** Somebody else may have written a topic: a tool of ZooKeeper's times. */
  onTopicsChange(): Promise<void> {
    return this.#decide(async () => {
      const { store, random } = this.#options
      const stat = await store.exists(TOPICS)
      if (stat === undefined || stat.cversion === this.#ownTopicChanges) return
      this.#ownTopicChanges = stat.cversion
      const added: ChangedPartition[] = []
      for (const name of await store.children(TOPICS)) {
        if (this.#state.topics.has(name)) continue
        const topic = await loadTopic(store, name, random)
        if (topic === undefined) continue
        this.#state.setTopic(topic)
        for (const index of topic.partitions.keys()) added.push({ topic, index, isNew: true })
      }
      await this.#store.setLeaderships(this.#electionsIn(added))
      this.#tell(added)
    })
  }

  /** Somebody else may have asked for a deletion. */
  onDeletionsChange(): Promise<void> {
    return this.#decide(async () => {
      const { store } = this.#options
      const stat = await store.exists(DELETE_TOPICS)
      if (stat === undefined || stat.cversion === this.#ownDeletionChanges) return
      this.#ownDeletionChanges = stat.cversion
      for (const name of await store.children(DELETE_TOPICS)) this.#state.deleting.add(name)
      this.#resumeDeletions()
    })
  }

  /** Log dirs of brokers have failed: what these still serve shows in how they take their partitions. KIP-112. */
  onLogDirEvents(): Promise<void> {
    return this.#decide(async () => {
      const { store } = this.#options
      const brokerIds = new Set<number>()
      for (const name of await store.children(LOG_DIR_EVENTS)) {
        const path = `${LOG_DIR_EVENTS}/${name}`
        const node = await ifThere(store.get(path))
        if (node === undefined) continue
        brokerIds.add(decodeLogDirFailure(path, node.data))
        await this.#store.removeEvent(path)
      }
      for (const id of brokerIds) {
        const hosted = this.#partitions(({ replicas }) => replicas.includes(id))
        this.#telling = Promise.all([this.#telling, this.#tellReplicas(id, hosted)])
      }
    })
  }

  async #createTopic(plan: PlannedTopic): Promise<ChangedPartition[]> {
    const leaders = new Map<number, NextLeadership>()
    for (const [index, assignment] of plan.partitions) {
      const next = firstLeadership({ ...assignment, leadership: undefined }, (id) => this.#state.isLive(id))
      if (next !== undefined) leaders.set(index, next)
    }
    const topic = await this.#store.createTopic(plan, leaders)
    this.#ownTopicChanges += 1
    this.#state.setTopic(topic)
    this.#options.logger.info('created a topic', { topic: topic.name, topicId: topic.topicId, partitions: topic.partitions.size })
    return [...topic.partitions.keys()].map((index) => ({ topic, index, isNew: true }))
  }

  /** Goes on with every deletion that is asked for and not under way. @returns Those under way. */
  #resumeDeletions(): ReadonlyMap<string, Promise<void>> {
    for (const name of this.#state.deleting) {
      if (this.#deletions.has(name)) continue
      const deletion = this.#deleteTopic(name)
        .catch((error) => {
          const isOver = isStoreError(error, 'SessionExpired') || isStoreError(error, 'StoreClosed')
          if (!isOver) this.#options.logger.error('a topic could not be deleted', { topic: name, error })
        })
        .finally(() => this.#deletions.delete(name))
      this.#deletions.set(name, deletion)
    }
    return this.#deletions
  }

  /** Ends early, to be resumed, when a replica's broker is not there. */
  async #deleteTopic(name: string): Promise<void> {
    const topic = this.#state.topics.get(name)
    if (topic === undefined) {
      await this.#store.unmarkForDeletion(name)
      this.#ownDeletionChanges += 1
      this.#state.deleting.delete(name)
      return
    }
    const all = [...topic.partitions.keys()].map((index) => ({ topic, index, isNew: false }))
    this.#tellMetadata(all, this.#state.brokers.keys())
    const hosts = new Set([...topic.partitions.values()].flatMap(({ replicas }) => replicas))
    const stopped = await Promise.all(
      [...hosts].map((id) =>
        this.#state.isLive(id) ? this.#brokers.stopReplica(id, deleteReplicasRequest(id, topic, this.#state, this.#sender)) : false,
      ),
    )
    if (stopped.includes(false)) return
    await this.#decide(async () => {
      await this.#store.removeTopic(name)
      this.#ownTopicChanges += 1
      this.#ownDeletionChanges += 1
      this.#state.removeTopic(name)
      this.#state.deleting.delete(name)
      this.#options.logger.info('deleted a topic', { topic: name, topicId: topic.topicId })
    })
  }

  #watchBrokers(): void {
    const { brokers } = this.#state
    for (const [id, unwatch] of this.#brokerWatches) {
      if (brokers.has(id)) continue
      unwatch()
      this.#brokerWatches.delete(id)
    }
    for (const id of brokers.keys())
      if (!this.#brokerWatches.has(id)) this.#brokerWatches.set(id, this.#options.store.watch(brokerIdPath(id), this.#onBrokerEvent))
  }

  #partitions(choose: (partition: { replicas: readonly number[] }) => boolean): ChangedPartition[] {
    const chosen: ChangedPartition[] = []
    for (const topic of this.#state.topics.values()) {
      if (this.#state.deleting.has(topic.name)) continue
      for (const [index, partition] of topic.partitions) {
        if (choose(partition)) chosen.push({ topic, index, isNew: partition.leadership === undefined })
      }
    }
    return chosen
  }

  #electionsIn(partitions: readonly ChangedPartition[]): LeadershipChange[] {
    const { uncleanLeaderElection } = this.#options.config()
    return partitions.flatMap(({ topic, index }) => {
      const unclean = uncleanLeaderElection(topic.name)
      const electorate = { brokers: this.#state.brokersFor(topic.name, index) }
      const next = leadershipAfterBrokerChange(topic.partitions.get(index)!, electorate, { unclean })
      return next === undefined ? [] : [{ topic, index, next }]
    })
  }

  /**
   * Tells the brokers of changed partitions, their replicas first, so that whoever reads of a leader finds it.
   * @param newBrokers Brokers that know nothing yet, and are told everything.
   * @returns When they know.
   */
  #tell(changed: readonly ChangedPartition[], newBrokers: readonly number[] = []): Promise<unknown> {
    if (changed.length === 0 && newBrokers.length === 0) return Promise.resolve()
    const told: Promise<unknown>[] = []
    const all = newBrokers.length > 0 ? this.#partitions(() => true) : []
    for (const id of this.#state.brokers.keys()) {
      const news = newBrokers.includes(id) ? all : changed
      told.push(this.#tellReplicas(id, news))
    }
    const isNew = new Set(newBrokers)
    told.push(this.#tellMetadata(all, isNew))
    told.push(
      this.#tellMetadata(
        changed,
        [...this.#state.brokers.keys()].filter((id) => !isNew.has(id)),
      ),
    )
    this.#telling = Promise.all([this.#telling, ...told])
    return Promise.all(told)
  }

  /** Resolves when the broker has taken its partitions, and when the others know of those that it cannot serve. */
  async #tellReplicas(brokerId: number, partitions: readonly ChangedPartition[]): Promise<void> {
    const offline = await this.#brokers.leaderAndIsr(brokerId, leaderAndIsrRequest(brokerId, partitions, this.#state, this.#sender))
    if (offline.length === 0) return
    const { told } = await this.#decide(async () => {
      const news = offline.flatMap(({ topic: name, index }): ChangedPartition[] => {
        const topic = this.#state.topics.get(name)
        if (topic === undefined || !this.#state.noteOfflineReplica(brokerId, name, index)) return []
        return [{ topic, index, isNew: false }]
      })
      if (news.length > 0) this.#options.logger.warn('replicas are in an offline log dir', { brokerId, count: news.length })
      await this.#store.setLeaderships(this.#electionsIn(news))
      return { told: this.#tell(news) }
    })
    await told
  }

  #tellMetadata(changed: readonly ChangedPartition[], brokerIds: Iterable<number>): Promise<unknown> {
    const told: Promise<void>[] = []
    for (const id of brokerIds) told.push(this.#brokers.updateMetadata(id, updateMetadataRequest(id, changed, this.#state, this.#sender)))
    return Promise.all(told)
  }

  /** Runs `work` after the decisions before it. What it returns is waited for, so a promise for brokers to know travels in an object. */
  #decide<T>(work: () => Promise<T>): Promise<T> {
    const decided = this.#deciding.then(work)
    this.#deciding = decided.catch(() => {})
    return decided
  }

  /** Whether `work` is done in time. */
  #within(timeoutMs: number, work: Promise<unknown>): Promise<boolean> {
    let timer: Timer | undefined
    const late = new Promise<boolean>((resolve) => {
      timer = this.#options.clock.setTimer(Math.max(0, timeoutMs), () => resolve(false))
    })
    return Promise.race([work.then(() => true), late]).finally(() => timer?.cancel())
  }
}

/** Without a message, as in Kafka. */
const timedOut = () => new KafkaError('REQUEST_TIMED_OUT', '')

function summaryOf({ name, topicId, partitions, configs }: PlannedTopic): CreatedTopic {
  const replicationFactor = partitions.get(0)?.replicas.length ?? 0
  return { name, topicId, partitions: partitions.size, replicationFactor, configs }
}
