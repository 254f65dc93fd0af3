import { Writable } from 'node:stream'
import { SerializationError } from '../errors.ts'
import type { ProducerRecord } from './producer-record.ts'
import type { RecordSender } from './transactions/transaction.ts'

/** How a producer's stream behaves. */
export interface WritableOptions {
  /** Records that may wait in the stream itself, before the producer's buffer; 16 when absent. */
  readonly highWaterMark?: number
}

const DEFAULT_HIGH_WATER_MARK = 16

/** Takes records for a stream: at once while `bufferMemory` has room, and then when it has some again. Hears the first that fails. */
class RecordIntake<K, V> {
  readonly #sender: RecordSender<K, V>
  readonly #onFailure: (error: Error) => void
  /** A serializer returns promises, which only send() can wait for. */
  #isAwaiting = false

  constructor(sender: RecordSender<K, V>, onFailure: (error: Error) => void) {
    this.#sender = sender
    this.#onFailure = onFailure
  }

  /** Resolves when the record is in the producer's buffer. @throws as enqueue() */
  async take(record: ProducerRecord<K, V>): Promise<void> {
    if (this.#isAwaiting) return this.#send(record)
    try {
      while (!this.#sender.enqueue(record, this.#onDelivery)) await this.#sender.ready()
    } catch (error) {
      if (!(error instanceof SerializationError && error.isAsynchronous)) throw error
      this.#isAwaiting = true
      await this.#send(record)
    }
  }

  #send(record: ProducerRecord<K, V>): Promise<void> {
    this.#sender.send(record).catch(this.#onFailure)
    return this.#sender.ready()
  }

  readonly #onDelivery = (error: Error | undefined): void => {
    if (error !== undefined) this.#onFailure(error)
  }
}

/** A Node stream of records. It ends when everything is delivered, and is destroyed with the first error of a record. */
export function writableOf<K, V>(
  sender: RecordSender<K, V>,
  flush: () => Promise<void>,
  { highWaterMark = DEFAULT_HIGH_WATER_MARK }: WritableOptions,
): Writable {
  const intake = new RecordIntake(sender, (error) => writable.destroy(error))
  const writable = new Writable({
    objectMode: true,
    highWaterMark,
    write(record: ProducerRecord<K, V>, _encoding, callback) {
      intake.take(record).then(() => callback(), callback)
    },
    final(callback) {
      flush().then(() => callback(), callback)
    },
  })
  return writable
}

/** The same as the web has it. `close()` resolves when everything is delivered. */
export function writableStreamOf<K, V>(
  sender: RecordSender<K, V>,
  flush: () => Promise<void>,
  { highWaterMark = DEFAULT_HIGH_WATER_MARK }: WritableOptions,
): WritableStream<ProducerRecord<K, V>> {
  let failure: Error | undefined
  let intake: RecordIntake<K, V>
  return new WritableStream<ProducerRecord<K, V>>(
    {
      start(controller) {
        intake = new RecordIntake(sender, (error) => {
          failure ??= error
          controller.error(error)
        })
      },
      write: (record) => intake.take(record),
      async close() {
        await flush()
        if (failure !== undefined) throw failure
      },
    },
    new CountQueuingStrategy({ highWaterMark }),
  )
}
