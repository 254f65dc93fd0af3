import type { Cluster } from '../cluster/cluster.ts'
import { listOffsets, type OffsetSpec } from '../cluster/list-offsets.ts'
import { resetDurationMs } from '../config/auto-offset-reset.ts'
import type { ConsumerConfig } from '../config/consumer-config.ts'
import { ClientError, isRetriable, NoOffsetError } from '../errors.ts'
import type { OffsetCommitter } from './offset-committer.ts'
import type { PartitionState } from './partition-state.ts'

export interface PositionResolverOptions {
  readonly cluster: Cluster
  readonly config: ConsumerConfig
  /** undefined: there is no group, so nothing is committed. */
  readonly committer: OffsetCommitter | undefined
  readonly partitions: () => Iterable<PartitionState>
  readonly onError: (error: ClientError) => void
  /** Positions are there, or it is time to look again. */
  readonly notify: () => void
}

/**
 * Finds the position of partitions that have none: what was asked for by seek, else the committed offset, else `auto.offset.reset`. Lookups run
 * beside each other: a leader that does not answer holds up its own partitions only.
 */
export class PositionResolver {
  readonly #options: PositionResolverOptions
  readonly #resetDurationMs: number | undefined
  /** What is being looked up, as of which generation. */
  readonly #running = new Map<PartitionState, number>()

  constructor(options: PositionResolverOptions) {
    this.#options = options
    const policy = options.config['auto.offset.reset']
    this.#resetDurationMs = resetDurationMs(policy)
  }

  /** Starts looking for what is not being looked for already. */
  ensure(): void {
    const states = [...this.#options.partitions()].filter(
      (state) => state.needsPosition && this.#running.get(state) !== state.fetchGeneration,
    )
    if (states.length === 0) return
    const lookups = states.map((state) => ({ state, fetchGeneration: state.fetchGeneration }))
    for (const { state, fetchGeneration } of lookups) this.#running.set(state, fetchGeneration)
    const byReset = lookups.filter(({ state }) => state.resetTo !== undefined)
    const byCommit = lookups.filter(({ state }) => state.resetTo === undefined)
    for (const group of this.#byLeader(byReset)) this.#run(group, () => this.#reset(group))
    if (byCommit.length > 0) this.#run(byCommit, () => this.#committed(byCommit))
  }

  /** What `auto.offset.reset` means for a partition without offset; undefined: none. */
  policy(): OffsetSpec | undefined {
    const { config, cluster } = this.#options
    const policy = config['auto.offset.reset']
    if (this.#resetDurationMs !== undefined) return { timestamp: Math.max(0, Math.floor(cluster.clock.now() - this.#resetDurationMs)) }
    return policy === 'earliest' || policy === 'latest' ? policy : undefined
  }

  async #run(lookups: readonly Lookup[], look: () => Promise<void>): Promise<void> {
    const { notify, onError, cluster } = this.#options
    try {
      await look()
    } catch (error) {
      if (cluster.closed) return
      if (isRetriable(error)) await cluster.sleep(cluster.config['retry.backoff.ms']).catch(() => {})
      else onError(error instanceof ClientError ? error : new ClientError('UNEXPECTED', String(error), { cause: error }))
    }
    for (const { state, fetchGeneration } of lookups) if (this.#running.get(state) === fetchGeneration) this.#running.delete(state)
    notify()
  }

  async #committed(lookups: readonly Lookup[]): Promise<void> {
    const { config, committer } = this.#options
    const without: Lookup[] = []
    if (committer === undefined) without.push(...lookups)
    else {
      const requireStable = config['isolation.level'] === 'read_committed'
      const states = lookups.map(({ state }) => state)
      const committed = await committer.fetch(states, requireStable, { deadline: this.#deadline(), what: 'committed offsets' })
      for (const lookup of lookups) {
        const { state } = lookup
        if (!isCurrent(lookup)) continue
        const found = committed.get(state)
        if (found === undefined) {
          without.push(lookup)
          continue
        }
        state.moveTo({ offset: found.offset, leaderEpoch: found.leaderEpoch ?? -1 })
        state.committed = found.offset
      }
      if (without.length < lookups.length) this.#options.notify()
    }
    if (without.length === 0) return
    if (this.policy() === undefined) {
      throw new NoOffsetError(
        'NO_OFFSET_FOR_PARTITION',
        without.map(({ state: { topic, partition } }) => ({ topic, partition })),
      )
    }
    // What one leader refuses is an error of its own, and no other's.
    const failures: unknown[] = []
    await Promise.all(this.#byLeader(without).map((group) => this.#reset(group).catch((error) => failures.push(error))))
    if (failures.length > 0) throw failures.find((error) => !isRetriable(error)) ?? failures[0]
  }

  /** Asks one leader, as far as is known. */
  async #reset(lookups: readonly Lookup[]): Promise<void> {
    const { cluster, config } = this.#options
    const policy = this.policy()
    const queries = lookups.flatMap(({ state: { topic, partition, resetTo } }) => {
      const spec = resetTo ?? policy
      return spec === undefined ? [] : [{ topic, partition, spec }]
    })
    const isolationLevel = config['isolation.level']
    const outcomes = await listOffsets(cluster, queries, { deadline: this.#deadline(), what: 'offset reset', isolationLevel })
    let failure: ClientError | undefined
    for (const [index, lookup] of lookups.entries()) {
      const { state } = lookup
      const { value, error } = outcomes[index]!
      if (!isCurrent(lookup)) continue
      if (error !== undefined) failure ??= error
      // No epoch: nothing has been read before it, and so there is nothing to check.
      else if (value.offset >= 0) state.moveTo({ offset: value.offset, leaderEpoch: -1 })
      // No record is as young as that: the end.
      else state.lookUp('latest')
    }
    this.#options.notify()
    if (failure !== undefined) throw failure
  }

  #byLeader(lookups: readonly Lookup[]): Lookup[][] {
    const groups = new Map<number, Lookup[]>()
    for (const lookup of lookups) {
      const leaderId = this.#options.cluster.metadata.partition(lookup.state.topic, lookup.state.partition)?.leaderId ?? -1
      const group = groups.get(leaderId)
      if (group === undefined) groups.set(leaderId, [lookup])
      else group.push(lookup)
    }
    return [...groups.values()]
  }

  #deadline() {
    return this.#options.cluster.deadline(this.#options.config['default.api.timeout.ms'])
  }
}

/** A partition whose position is looked up, unless it is looked up anew, or found, meanwhile. */
interface Lookup {
  readonly state: PartitionState
  readonly fetchGeneration: number
}

const isCurrent = ({ state, fetchGeneration }: Lookup): boolean => state.needsPosition && state.fetchGeneration === fetchGeneration
