import type { Cluster } from '../cluster/cluster.ts'
import { listOffsets, type OffsetSpec } from '../cluster/list-offsets.ts'
import type { ConsumerConfig } from '../config/consumer-config.ts'
import { ClientError, InvalidOptionError, isRetriable, NoOffsetError } from '../errors.ts'
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

const dayMs = 86_400_000

/** `by_duration:P2DT3H4M5.6S` in ms. KIP-1106. */
function durationMs(text: string): number {
  const match = /^by_duration:P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/i.exec(text)
  if (match === null || /[PT]$/i.test(text))
    throw new InvalidOptionError(`autoOffsetReset: ${text} is no duration such as by_duration:PT1H`)
  const [days = 0, hours = 0, minutes = 0, seconds = 0] = match.slice(1).map((part) => Number(part ?? 0))
  return days * dayMs + hours * 3_600_000 + minutes * 60_000 + seconds * 1000
}

/** Finds the position of partitions that have none: what was asked for by seek, else the committed offset, else `auto.offset.reset`. */
export class PositionResolver {
  readonly #options: PositionResolverOptions
  readonly #resetDurationMs: number | undefined
  #isRunning = false

  /** @throws InvalidOptionError for a duration that is none */
  constructor(options: PositionResolverOptions) {
    this.#options = options
    const policy = options.config['auto.offset.reset']
    this.#resetDurationMs = policy.startsWith('by_duration') ? durationMs(policy) : undefined
  }

  /** Starts looking unless it does already, or nothing is to be looked up. */
  ensure(): void {
    if (this.#isRunning) return
    const states = [...this.#options.partitions()].filter((state) => state.needsPosition)
    if (states.length === 0) return
    this.#isRunning = true
    const { notify, onError, cluster } = this.#options
    this.#resolve(states).then(
      () => {
        this.#isRunning = false
        notify()
      },
      async (error) => {
        if (cluster.closed) return
        if (isRetriable(error)) await cluster.sleep(cluster.config['retry.backoff.ms']).catch(() => {})
        else onError(error instanceof ClientError ? error : new ClientError('UNEXPECTED', String(error), { cause: error }))
        this.#isRunning = false
        notify()
      },
    )
  }

  /** What `auto.offset.reset` means for a partition without offset; undefined: none. */
  policy(): OffsetSpec | undefined {
    const { config, cluster } = this.#options
    const policy = config['auto.offset.reset']
    if (this.#resetDurationMs !== undefined) return { timestamp: cluster.clock.now() - this.#resetDurationMs }
    return policy === 'earliest' || policy === 'latest' ? policy : undefined
  }

  async #resolve(states: readonly PartitionState[]): Promise<void> {
    const { cluster, config, committer } = this.#options
    const deadline = cluster.deadline(config['default.api.timeout.ms'])
    const generations = new Map(states.map((state) => [state, state.generation]))
    const isCurrent = (state: PartitionState) => state.needsPosition && generations.get(state) === state.generation
    const uncommitted: PartitionState[] = []
    const byCommit = states.filter(({ resetTo }) => resetTo === undefined)
    if (committer !== undefined && byCommit.length > 0) {
      const requireStable = config['isolation.level'] === 'read_committed'
      const committed = await committer.fetch(byCommit, requireStable, { deadline, what: 'committed offsets' })
      for (const state of byCommit) {
        const found = committed.get(state)
        if (!isCurrent(state)) continue
        if (found === undefined) uncommitted.push(state)
        else {
          state.committed = found.offset
          state.seek({ offset: found.offset, leaderEpoch: found.leaderEpoch ?? -1 })
        }
      }
    } else uncommitted.push(...byCommit)
    const policy = this.policy()
    const wanted = states.filter(
      (state) => isCurrent(state) && (state.resetTo !== undefined || (policy !== undefined && uncommitted.includes(state))),
    )
    if (wanted.length > 0) {
      const queries = wanted.map(({ topic, partition, resetTo }) => ({ topic, partition, spec: resetTo ?? policy! }))
      const isolationLevel = config['isolation.level']
      const outcomes = await listOffsets(cluster, queries, { deadline, what: 'offset reset', isolationLevel })
      await this.#apply(wanted, outcomes, isCurrent)
    }
    const without = uncommitted.filter((state) => isCurrent(state) && policy === undefined && state.resetTo === undefined)
    if (without.length > 0) {
      throw new NoOffsetError(
        'NO_OFFSET_FOR_PARTITION',
        without.map(({ topic, partition }) => ({ topic, partition })),
      )
    }
  }

  async #apply(
    states: readonly PartitionState[],
    outcomes: Awaited<ReturnType<typeof listOffsets>>,
    isCurrent: (state: PartitionState) => boolean,
  ): Promise<void> {
    let failure: ClientError | undefined
    const beyondEnd: PartitionState[] = []
    for (const [index, state] of states.entries()) {
      const { value, error } = outcomes[index]!
      if (!isCurrent(state)) continue
      if (error !== undefined) failure ??= error
      else if (value.offset >= 0) state.seek({ offset: value.offset, leaderEpoch: value.leaderEpoch })
      // No record is as young as that: the end.
      else beyondEnd.push(state)
    }
    for (const state of beyondEnd) state.resetTo = 'latest'
    if (failure !== undefined) throw failure
  }
}
