import type { Logger } from '@tidelog/core'
import { KafkaError } from '@tidelog/protocol'
import type { FeatureUpdate } from '../features.ts'
import { ifThere, isStoreError } from '../store/metadata-store.ts'
import {
  BROKER_IDS,
  CONTROLLER,
  CONTROLLER_EPOCH,
  DELETE_TOPICS,
  decodeController,
  decodeControllerEpoch,
  encodeController,
  encodeControllerEpoch,
  LOG_DIR_EVENTS,
  TOPICS,
} from '../znodes.ts'
import { ActiveController } from './active-controller.ts'
import type { ControllerOptions } from './controller-options.ts'
import type { ControllerTerm } from './controller-store.ts'
import type { NewPartitions } from './create-partitions.ts'
import type { CreatedTopic, NewTopic, TopicOutcome } from './create-topics.ts'
import type { ElectionType } from './leader-election.ts'

/**
 * A broker's part in controlling the cluster: of all brokers, the one whose node /controller is decides. This one stands for election when
 * there is none, and its calls are refused with NOT_CONTROLLER while another one is. Source: Kafka's ZooKeeper mode, kafka.controller.
 */
export class Controller {
  readonly #options: ControllerOptions
  readonly #logger: Logger
  #active: ActiveController | undefined
  /** Elections and what watches tell, one after the other. */
  #events: Promise<void> = Promise.resolve()
  readonly #unwatch: (() => void)[] = []
  #isClosed = false

  constructor(options: ControllerOptions) {
    this.#options = options
    this.#logger = options.logger
  }

  /** True while this broker is the controller. */
  get isActive(): boolean {
    return this.#active !== undefined
  }

  /** Stands for election. Resolves when there is a controller: once this broker is it, when all live brokers know the cluster's state. */
  async start(): Promise<void> {
    const { store } = this.#options
    this.#unwatch.push(store.watch(CONTROLLER, () => this.#enqueue(() => this.#elect())))
    await this.#elect()
    await this.#active?.settled()
  }

  /**
   * Resolves when the brokers know the topics. What takes longer than `timeoutMs` is REQUEST_TIMED_OUT, and done all the same.
   * @throws KafkaError for the whole request: NOT_CONTROLLER, POLICY_VIOLATION, REQUEST_TIMED_OUT (no time to begin, nothing is done)
   */
  createTopics(topics: readonly NewTopic[], options: { validateOnly?: boolean; timeoutMs: number }): Promise<TopicOutcome<CreatedTopic>[]> {
    return this.#run(options, (active) => active.createTopics(topics, options))
  }

  /** Names of topics, each with why it was refused. Resolves as `createTopics`. @throws KafkaError for the whole request: NOT_CONTROLLER, REQUEST_TIMED_OUT */
  deleteTopics(topics: readonly string[], options: { timeoutMs: number }): Promise<ReadonlyMap<string, KafkaError | undefined>> {
    return this.#run(options, (active) => active.deleteTopics(topics, options))
  }

  /** Names of topics, each with why it was refused. Resolves and throws as `createTopics`. */
  createPartitions(
    requests: readonly NewPartitions[],
    options: { validateOnly?: boolean; timeoutMs: number },
  ): Promise<ReadonlyMap<string, KafkaError | undefined>> {
    return this.#run(options, (active) => active.createPartitions(requests, options))
  }

  /**
   * @param partitions Indexes by topic; undefined for all partitions, of which those that need no election are left out of the answer.
   * @throws KafkaError for the whole request: NOT_CONTROLLER, REQUEST_TIMED_OUT
   */
  electLeaders(
    type: ElectionType,
    partitions: ReadonlyMap<string, readonly number[]> | undefined,
    options: { timeoutMs: number },
  ): Promise<{ topic: string; partition: number; error: KafkaError | undefined }[]> {
    return this.#run(options, (active) => active.electLeaders(type, partitions, options))
  }

  /**
   * Changes finalized feature levels, all of them or none; resolves when the store has them.
   * @throws KafkaError INVALID_UPDATE_VERSION, NOT_CONTROLLER, REQUEST_TIMED_OUT
   */
  updateFeatures(updates: readonly FeatureUpdate[], options: { validateOnly: boolean; timeoutMs: number }): Promise<void> {
    return this.#run(options, (active) => active.updateFeatures(updates, options))
  }

  /** Decides nothing more. The node /controller goes with the session, which its owner closes. */
  async close(): Promise<void> {
    this.#isClosed = true
    for (const unwatch of this.#unwatch.splice(0)) unwatch()
    this.#active?.close()
    this.#active = undefined
    await this.#events
  }

  async #run<T>({ timeoutMs }: { timeoutMs: number }, call: (active: ActiveController) => Promise<T>): Promise<T> {
    const active = this.#active
    if (active === undefined) throw new KafkaError('NOT_CONTROLLER', 'This is not the correct controller for this cluster.')
    // Kafka's controller drops what is due before it begins with it, and gives no message.
    if (timeoutMs <= 0) throw new KafkaError('REQUEST_TIMED_OUT', '')
    try {
      return await call(active)
    } catch (error) {
      if (error instanceof KafkaError && error.errorName === 'NOT_CONTROLLER') this.#resign(active)
      throw error
    }
  }

  #enqueue(work: () => Promise<void>): void {
    this.#events = this.#events
      .then(async () => {
        if (!this.#isClosed) await work()
      })
      .catch((error) => {
        const isOver = isStoreError(error, 'SessionExpired') || isStoreError(error, 'StoreClosed')
        if (error instanceof KafkaError && error.errorName === 'NOT_CONTROLLER' && this.#active !== undefined) this.#resign(this.#active)
        else if (!isOver) this.#logger.error('the controller could not react to a change in the store', { error })
      })
  }

  async #elect(): Promise<void> {
    const { store, brokerId, clock } = this.#options
    for (;;) {
      const holder = await ifThere(store.get(CONTROLLER))
      if (holder !== undefined) {
        if (holder.stat.ephemeralOwner !== store.sessionId && this.#active !== undefined) this.#resign(this.#active)
        if (this.#active === undefined) this.#logger.debug('another broker is the controller', { brokerId: decodeController(holder.data) })
        return
      }
      if (this.#active !== undefined) this.#resign(this.#active)
      const last = await ifThere(store.get(CONTROLLER_EPOCH))
      const epoch = (last === undefined ? 0 : decodeControllerEpoch(last.data)) + 1
      const data = encodeControllerEpoch(epoch)
      try {
        const results = await store.multi([
          { type: 'create', path: CONTROLLER, data: encodeController(brokerId, clock.now()), ephemeral: true },
          last === undefined
            ? { type: 'create', path: CONTROLLER_EPOCH, data }
            : { type: 'set', path: CONTROLLER_EPOCH, data, version: last.stat.version },
        ])
        await this.#takeOffice({ epoch, epochVersion: results[1]!.stat!.version })
        return
      } catch (error) {
        // Another broker was faster; look who it is.
        if (!isStoreError(error, 'NodeExists') && !isStoreError(error, 'BadVersion')) throw error
      }
    }
  }

  async #takeOffice(term: ControllerTerm): Promise<void> {
    const { store } = this.#options
    this.#logger.info('this broker is the controller', { controllerEpoch: term.epoch })
    // Watched before the state is read: what changes in between is looked at twice, not missed.
    let active: ActiveController | undefined
    const when = (react: (active: ActiveController) => Promise<void>) => () =>
      this.#enqueue(async () => {
        if (active !== undefined && this.#active === active) await react(active)
      })
    const onBrokersChange = when((controller) => controller.onBrokersChange())
    this.#unwatch.push(
      store.watch(BROKER_IDS, onBrokersChange),
      store.watch(
        TOPICS,
        when((controller) => controller.onTopicsChange()),
      ),
      store.watch(
        DELETE_TOPICS,
        when((controller) => controller.onDeletionsChange()),
      ),
      store.watch(
        LOG_DIR_EVENTS,
        when((controller) => controller.onLogDirEvents()),
      ),
    )
    active = await ActiveController.start(this.#options, term, onBrokersChange)
    if (this.#isClosed) active.close()
    else this.#active = active
  }

  #resign(active: ActiveController): void {
    if (this.#active !== active) return
    this.#logger.warn('this broker is no longer the controller')
    active.close()
    this.#active = undefined
    // The first watch is for /controller itself.
    for (const unwatch of this.#unwatch.splice(1)) unwatch()
  }
}
