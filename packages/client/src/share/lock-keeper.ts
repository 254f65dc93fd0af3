import { type Clock, type Logger, messageOf, type Timer } from '@tidelog/core'
import { UnsupportedVersionError } from '../errors.ts'
import { acknowledgeCodes } from './acknowledgements.ts'
import type { HeldRecord, ShareNode } from './held-record.ts'

export interface LockKeeperOptions {
  readonly clock: Clock
  readonly logger: Logger
  /** As brokers have last said; undefined: they have not. */
  readonly lockMs: () => number | undefined
  readonly held: () => Iterable<HeldRecord>
  /** Renews what of the node's is due when its turn comes. @throws UnsupportedVersionError from brokers that cannot; others */
  readonly renew: (node: ShareNode) => Promise<void>
}

/** So often in the time of a lock is looked whether one has to be renewed; that is due in the last two of these parts. */
const LOOKS_PER_LOCK = 3

/** Renews the locks of all that is held, again and again while it is on: work may take longer than a lock lasts. KIP-1222. */
export class LockKeeper {
  readonly #options: LockKeeperOptions
  #isOn = false
  #timer: Timer | undefined

  constructor(options: LockKeeperOptions) {
    this.#options = options
  }

  turn(isOn: boolean): void {
    this.#isOn = isOn
    this.#timer?.cancel()
    this.#timer = undefined
    if (isOn) this.acquired()
  }

  /** There is something to hold. */
  acquired(): void {
    const { clock, lockMs } = this.#options
    const durationMs = lockMs()
    if (!this.#isOn || this.#timer !== undefined || durationMs === undefined) return
    this.#timer = clock.setTimer(durationMs / LOOKS_PER_LOCK, () => this.#look())
  }

  isDue({ lock, session }: HeldRecord): boolean {
    const { clock, lockMs } = this.#options
    const durationMs = lockMs() ?? 0
    const leftMs = lock.untilMs - clock.monotonic()
    return !session.isOver && leftMs > 0 && leftMs < durationMs * (1 - 1 / (2 * LOOKS_PER_LOCK))
  }

  #look(): void {
    this.#timer = undefined
    const nodes = new Set<ShareNode>()
    let holdsAny = false
    for (const held of this.#options.held()) {
      holdsAny = true
      if (this.isDue(held)) nodes.add(held.node)
    }
    for (const node of nodes) this.#renew(node)
    if (holdsAny) this.acquired()
  }

  async #renew(node: ShareNode): Promise<void> {
    const { renew, logger } = this.#options
    try {
      await renew(node)
    } catch (error) {
      logger.debug('acquisition locks were not renewed', { nodeId: node.nodeId, reason: messageOf(error) })
      // No other try says anything else.
      if (error instanceof UnsupportedVersionError) this.turn(false)
    }
  }
}

/** What a request says to renew these. */
export function renewalRows(held: Iterable<HeldRecord>) {
  const byTopic = new Map<string, Map<number, number[]>>()
  for (const { partition, offset } of held) {
    const partitions = byTopic.get(partition.topicId) ?? new Map<number, number[]>()
    byTopic.set(partition.topicId, partitions)
    const offsets = partitions.get(partition.partition)
    if (offsets === undefined) partitions.set(partition.partition, [offset])
    else offsets.push(offset)
  }
  return [...byTopic].map(([topicId, partitions]) => ({
    topicId,
    partitions: [...partitions].map(([partitionIndex, offsets]) => ({ partitionIndex, acknowledgementBatches: rangesOf(offsets) })),
  }))
}

function rangesOf(offsets: readonly number[]) {
  const ranges: { firstOffset: number; lastOffset: number; acknowledgeTypes: number[] }[] = []
  for (const offset of [...offsets].sort((a, b) => a - b)) {
    const last = ranges.at(-1)
    if (last !== undefined && last.lastOffset + 1 === offset) last.lastOffset = offset
    else ranges.push({ firstOffset: offset, lastOffset: offset, acknowledgeTypes: [acknowledgeCodes.renew] })
  }
  return ranges
}
