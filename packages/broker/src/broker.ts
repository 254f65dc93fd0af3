import { type Clock, createLogger, type Logger, libuvOffload, messageOf, type Random, systemClock, systemRandom } from '@tidelog/core'
import { Controller, ProducerIdAllocator, reportLogDirFailure, type SupportedFeatures, supportedFeatures } from '@tidelog/metadata'
import type { Api } from '@tidelog/protocol'
import type { FileSystem } from '@tidelog/storage'
import { AutoTopicCreation } from './auto-topic-creation.ts'
import type { BrokerServices } from './broker-services.ts'
import { Closers } from './closers.ts'
import type { BrokerConfig } from './config/broker-config.ts'
import { listenersOf } from './config/listeners.ts'
import { parseBrokerConfig } from './config/parse-broker-config.ts'
import type { DefinedHandler } from './define-handler.ts'
import { Dispatcher } from './dispatch.ts'
import { startGroupCoordinators } from './group-coordination.ts'
import { announcedApisOf } from './handlers/18-api-versions.ts'
import { handlers } from './handlers/index.ts'
import { BrokerListeners } from './listeners.ts'
import { openNodeState } from './node-state.ts'
import { Registration } from './registration.ts'
import { FetchPurgatory } from './replicas/fetch-purgatory.ts'
import { FetchSessions } from './replicas/fetch-sessions.ts'
import { LocalBrokerChannel } from './replicas/local-channel.ts'
import { ReplicaManager } from './replicas/replica-manager.ts'
import { TimerWheel } from './replicas/timer-wheel.ts'
import { startTransactionCoordinators } from './transaction-coordination.ts'
import { MarkerWriter } from './transactions/marker-writer.ts'
import { PartitionVerifier } from './transactions/partition-verifier.ts'

export interface BrokerOptions {
  /** Kafka's names and texts, as in server.properties. */
  readonly config?: Readonly<Record<string, string>>
  /** Writes to standard error from level info when absent. */
  readonly logger?: Logger
  readonly clock?: Clock
  readonly random?: Random
  /** The disk under the log dirs; a test passes one that fails. */
  readonly fs?: FileSystem
  /** Feature levels that it can run; a test passes those of another version. */
  readonly features?: SupportedFeatures
}

/** A running broker. */
export interface Broker {
  readonly nodeId: number
  readonly clusterId: string
  /** Of the first listener, as advertised. */
  readonly host: string
  readonly port: number
  /** `host:port` for clients. */
  readonly bootstrapServers: string
  /** Live: dynamic changes show in it. */
  readonly config: BrokerConfig
  /** Resolves once closed; rejects with the reason when the broker had to stop itself. Nobody has to watch it. */
  readonly closed: Promise<void>
  /** Answers what is in progress, puts everything on disk, leaves no socket, file or timer behind. Idempotent; takes a few seconds at most. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** The broker cannot start; the message is one line for the operator. What was there before is untouched. */
export class BrokerStartError extends Error {
  override readonly name = 'BrokerStartError'
}

/** What is in progress when a broker closes gets this long to be answered. */
const CLOSE_GRACE_MS = 3000

/**
 * Starts a broker and resolves when it serves.
 * @throws BrokerStartError for a configuration that is not valid, a port in use, a log dir that is locked or belongs to another broker.
 */
export async function startBroker(options: BrokerOptions = {}): Promise<Broker> {
  const logger = options.logger ?? createLogger()
  const closers = new Closers(logger)
  try {
    return await assemble({ ...options, logger }, closers)
  } catch (error) {
    await closers.close()
    const message = messageOf(error)
    throw new BrokerStartError(message, { cause: error })
  }
}

async function assemble(options: BrokerOptions & { logger: Logger }, closers: Closers): Promise<Broker> {
  const { clock = systemClock, random = systemRandom, features = supportedFeatures, logger } = options
  const given = options.config ?? {}
  const parsed = parseBrokerConfig(given)
  // Live from here on: dynamic changes are written into it.
  const { config } = parsed
  for (const warning of parsed.warnings) logger.warn(warning)

  const lifetime = new Lifetime(closers, logger)
  const offload = libuvOffload()
  const timers = new TimerWheel(clock)
  closers.add('timers', () => timers.close())

  // Bound before a directory is opened: a port in use leaves no trace.
  const listeners = await BrokerListeners.bind(listenersOf(config).listeners, { config, ofListeners: parsed.ofListeners, clock, logger })
  closers.add('listeners', () => listeners.close(0))

  // What fails before partitions are led shows when they are to be.
  let onDirFailure: ((dir: string) => void) | undefined
  const { nodeId, clusterId, store, image, configs, logs } = await openNodeState({
    parsed,
    isNodeIdGiven: 'node.id' in given || 'broker.id' in given,
    features,
    clock,
    random,
    logger,
    offload,
    fs: options.fs,
    closers,
    onFatal: (error) => lifetime.fail(error),
    onDirFailure: (dir) => onDirFailure?.(dir),
  })
  const replicas = new ReplicaManager({ nodeId, logs, timers, topics: image, logger })
  onDirFailure = (dir) => {
    replicas.onDirFailure(dir)
    reportLogDirFailure(store, nodeId).catch((error) => logger.warn('the failure of a log dir could not be reported', { dir, error }))
  }
  const groups = startGroupCoordinators({ config, configs, image, replicas, clock, random, logger })
  const producerIds = new ProducerIdAllocator({ store, brokerId: nodeId })
  const markerWriter = new MarkerWriter({ replicas, groups, clock, timeoutMs: () => config['request.timeout.ms'] })
  const transactions = startTransactionCoordinators({ config, image, replicas, producerIds, markerWriter, clock, logger })
  const verifier = new PartitionVerifier({
    transactions,
    clock,
    retry: () => ({
      backoffMs: config['add.partitions.to.txn.retry.backoff.ms'],
      maxMs: Math.min(config['add.partitions.to.txn.retry.backoff.max.ms'], config['request.timeout.ms']),
    }),
  })

  const channel = new LocalBrokerChannel({ nodeId, image, replicas })
  const controller = new Controller({
    brokerId: nodeId,
    store,
    channel,
    features,
    config: () => ({
      topicDefaults: { partitions: config['num.partitions'], replicationFactor: config['default.replication.factor'] },
      uncleanLeaderElection: (topic) => configs.logConfigOf(topic)['unclean.leader.election.enable'],
    }),
    validateTopicConfigs: (overrides) => configs.validateTopicConfigs(overrides),
    clock,
    random,
    logger,
  })
  closers.add('controller', () => controller.close())

  const registration = new Registration({ nodeId, store, config, features, listeners, clock, logger })
  await configs.controlListeners(registration)
  await registration.register()
  await controller.start()
  await image.until(() => image.brokers.has(nodeId))

  const services: BrokerServices = {
    nodeId,
    clusterId,
    clock,
    random,
    logger,
    offload,
    config,
    supportedFeatures: features,
    announcedApis: announcedApisOf(Object.values(handlers).map(({ api }) => api as unknown as Api)),
    image,
    controller,
    configs,
    producerIds,
    autoTopicCreation: new AutoTopicCreation({ controller, image, config, logger }),
    logs,
    replicas,
    groups,
    transactions,
    verifier,
    markerWriter,
    fetchSessions: new FetchSessions({ clock, random, maxSlots: () => config['max.incremental.fetch.session.cache.slots'] }),
    fetchPurgatory: new FetchPurgatory(timers),
  }
  listeners.serve(
    (listenerName) => new Dispatcher({ handlers: Object.values(handlers) as unknown as DefinedHandler[], services, listenerName, logger }),
  )

  // What waits is answered first, then connections end, then what they stood on.
  closers.add('connections', async () => {
    await replicas.close()
    groups.close()
    transactions.close()
    await listeners.close(CLOSE_GRACE_MS)
  })
  const first = registration.advertised[0]!
  return lifetime.broker({ nodeId, clusterId, host: first.host, port: first.port, config })
}

/** Ends a broker once, for whichever reason comes first. */
class Lifetime {
  readonly closed: Promise<void>
  #failure: Error | undefined
  readonly #closers: Closers
  readonly #logger: Logger
  #settle!: { resolve: () => void; reject: (error: Error) => void }
  #ending: Promise<void> | undefined

  constructor(closers: Closers, logger: Logger) {
    this.#closers = closers
    this.#logger = logger
    this.closed = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
    })
    this.closed.catch(() => {})
  }

  /** Something has failed that a broker cannot work without: it stops, and `closed` rejects. The process lives. */
  fail(error: Error): void {
    if (this.#ending !== undefined) return
    this.#logger.error('the broker stops itself', { error })
    this.#failure = error
    this.#ending = this.#closers.close().then(() => this.#settle.reject(error))
  }

  close(): Promise<void> {
    this.#ending ??= this.#closers.close().then(() => this.#settle.resolve())
    return this.#ending
  }

  /** @throws what has failed in the meantime */
  broker(facts: Pick<Broker, 'nodeId' | 'clusterId' | 'host' | 'port' | 'config'>): Broker {
    if (this.#failure !== undefined) throw this.#failure
    return {
      ...facts,
      bootstrapServers: `${facts.host.includes(':') ? `[${facts.host}]` : facts.host}:${facts.port}`,
      closed: this.closed,
      close: () => this.close(),
      [Symbol.asyncDispose]: () => this.close(),
    }
  }
}
