import type { HandlerContext } from '../../consumer/partition-runner.ts'
import type { TopicPartition } from '../../topic-partition.ts'
import type { KafkaContext } from './client-options.ts'
import type { FetchedBatch } from './fetched-batch.ts'
import { errorNamed, isKafkaJSError } from './protocol-errors.ts'
import type { ResolvedOffsets } from './resolved-offsets.ts'
import type { Logger, Offsets } from './types-client.ts'
import type { ConsumerRunConfig } from './types-consumer.ts'

/** What handlers need of the session they run in. */
export interface SessionView {
  readonly isRunning: boolean
  readonly offsets: ResolvedOffsets
  autoCommit(): Promise<void>
  commit(offsets: Offsets): Promise<void>
  hasSeek(partition: TopicPartition): boolean
  isPaused(partition: TopicPartition): boolean
  pause(topics: readonly { readonly topic: string; readonly partitions?: readonly number[] }[]): void
  resume(topics: readonly { readonly topic: string; readonly partitions?: readonly number[] }[]): void
}

interface HandlerOptions {
  readonly context: KafkaContext
  readonly logger: Logger
  readonly runConfig: ConsumerRunConfig
}

/** Calls eachMessage or eachBatch, and keeps the account of what they have resolved. */
export class MessageHandlers {
  readonly #session: SessionView
  readonly #options: HandlerOptions

  constructor(session: SessionView, options: HandlerOptions) {
    this.#session = session
    this.#options = options
  }

  /** @throws what the handler throws; what it had resolved before is committed then, if commits are automatic */
  async handle(batch: FetchedBatch, context: HandlerContext): Promise<void> {
    const { eachMessage, eachBatch } = this.#options.runConfig
    if (eachMessage) await this.#eachMessage(batch, context, eachMessage)
    else if (eachBatch) await this.#eachBatch(batch, context, eachBatch)
  }

  async #eachMessage(
    batch: FetchedBatch,
    context: HandlerContext,
    eachMessage: NonNullable<ConsumerRunConfig['eachMessage']>,
  ): Promise<void> {
    const session = this.#session
    const { topic, partition, messages } = batch
    const heartbeat = () => this.#heartbeat(context)
    const pause = () => this.#pause(batch)
    for (const [index, message] of messages.entries()) {
      if (!session.isRunning || context.signal.aborted || session.hasSeek(batch)) return
      context.progress()
      try {
        await eachMessage({ topic, partition, message, heartbeat, pause })
      } catch (error) {
        await this.#failed('eachMessage', batch, message.offset, error)
        throw error
      }
      const isLast = index === messages.length - 1
      session.offsets.resolve(batch, Number(isLast ? batch.lastOffset() : message.offset))
      await this.#commitIfDue()
      if (session.isPaused(batch)) return
    }
  }

  async #eachBatch(batch: FetchedBatch, context: HandlerContext, eachBatch: NonNullable<ConsumerRunConfig['eachBatch']>): Promise<void> {
    const session = this.#session
    const last = batch.messages.at(-1)!.offset
    try {
      await eachBatch({
        batch,
        // Behind the last message there may be the marker of a transaction, which nobody else could resolve.
        resolveOffset: (offset) => session.offsets.resolve(batch, Number(Number(offset) === Number(last) ? batch.lastOffset() : offset)),
        heartbeat: () => this.#heartbeat(context),
        pause: () => this.#pause(batch),
        commitOffsetsIfNecessary: async (offsets) => {
          if (offsets) await session.commit(offsets)
          else if (session.offsets.isCommitDue(this.#options.context.clock.now()))
            await session.commit(session.offsets.uncommittedByTopic())
        },
        uncommittedOffsets: () => session.offsets.uncommittedByTopic(),
        isRunning: () => session.isRunning,
        isStale: () => context.signal.aborted || session.hasSeek(batch),
      })
    } catch (error) {
      await this.#failed('eachBatch', batch, batch.firstOffset(), error)
      throw error
    }
    const { eachBatchAutoResolve = true } = this.#options.runConfig
    if (eachBatchAutoResolve) session.offsets.resolve(batch, Number(batch.lastOffset()))
  }

  async #failed(handler: string, { topic, partition }: TopicPartition, offset: string, error: unknown): Promise<void> {
    if (!isKafkaJSError(error)) {
      const stack = error instanceof Error ? error.stack : undefined
      this.#options.logger.error(`${handler} failed`, { topic, partition, offset, stack, error })
    }
    await this.#session.autoCommit()
  }

  async #commitIfDue(): Promise<void> {
    if (this.#session.offsets.isCommitDue(this.#options.context.clock.now())) await this.#session.autoCommit()
  }

  /** Heartbeats go on without it; it tells the handler when the partition is gone. */
  async #heartbeat({ signal, progress }: HandlerContext): Promise<void> {
    progress()
    if (signal.aborted && this.#session.isRunning) throw errorNamed('REBALANCE_IN_PROGRESS')
  }

  #pause({ topic, partition }: TopicPartition): () => void {
    const partitions = [{ topic, partitions: [partition] }]
    this.#session.pause(partitions)
    return () => this.#session.resume(partitions)
  }
}
