import { ByteWriter, crc32c } from '@tidelog/core'
import { connect, type FramedConnection } from '@tidelog/net'
import { InitProducerId, Produce } from '@tidelog/protocol'

/** One batch on its way: its bytes never change, so that a retry carries the sequence numbers of the first try. */
interface Pending {
  readonly firstValue: number
  readonly count: number
  readonly bytes: Buffer
}

interface PartitionState {
  readonly index: number
  nextValue: number
  /** Sent and not acked, oldest first: what a retry sends again, in this order. */
  readonly pending: Pending[]
  /** Value → offset the broker acked it at. */
  readonly acked: Map<number, number>
}

/** Hears of every record, by partition and number, before it is sent first and when it is acked. */
export interface WriterObserver {
  sent(partition: number, value: number): void
  acked(partition: number, value: number, offset: number): void
}

const maxInFlight = 5
const version = 9

/**
 * An idempotent producer on the bare wire: acks=all, up to five batches in flight a partition, everything unacked sent again, in order, after
 * a reconnect. It shares no code with a client library, so that what it has been promised can be held against what the log holds.
 */
export class IdempotentWriter {
  readonly #address: { host: string; port: number }
  readonly #topic: string
  readonly #partitions: PartitionState[]
  readonly #observer: WriterObserver | undefined
  #producer = { id: -1, epoch: -1 }
  #connection: FramedConnection | undefined
  #stopped = false
  #abandoned = false

  constructor(options: { host: string; port: number; topic: string; partitions: number; observer?: WriterObserver }) {
    this.#observer = options.observer
    this.#address = { host: options.host, port: options.port }
    this.#topic = options.topic
    this.#partitions = Array.from({ length: options.partitions }, (_, index) => ({ index, nextValue: 0, pending: [], acked: new Map() }))
  }

  get ackedCount(): number {
    return this.#partitions.reduce((sum, { acked }) => sum + acked.size, 0)
  }

  acked(partition: number): ReadonlyMap<number, number> {
    return this.#partitions[partition]!.acked
  }

  /** Writes without pause, through every crash, until `stop` and until all is acked. */
  async run(): Promise<void> {
    while (!this.#abandoned && (!this.#stopped || this.#partitions.some(({ pending }) => pending.length > 0))) {
      try {
        await this.#writeOnOneConnection()
      } catch (error) {
        if (error instanceof UnexpectedAnswer) throw error
        // Lost with the broker: the next connection sends again what has no ack.
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
    this.#connection?.close()
  }

  stop(): void {
    this.#stopped = true
  }

  /** Gives up what has no ack yet. */
  abandon(): void {
    this.#abandoned = true
    this.#connection?.close()
  }

  async #writeOnOneConnection(): Promise<void> {
    const connection = await connect({ ...this.#address, clientId: 'crash-driver', requestTimeoutMs: 20_000 })
    this.#connection = connection
    try {
      if (this.#producer.id < 0) {
        const answer = await connection.send(InitProducerId, 4, { transactionalId: null, transactionTimeoutMs: 60_000 })
        if (answer.errorCode !== 0) throw new Error(`InitProducerId: ${answer.errorCode}`)
        this.#producer = { id: answer.producerId, epoch: answer.producerEpoch }
      }
      await Promise.all(this.#partitions.map((partition) => this.#writePartition(connection, partition)))
    } finally {
      connection.close()
    }
  }

  async #writePartition(connection: FramedConnection, partition: PartitionState): Promise<void> {
    const answers = partition.pending.map((batch) => this.#send(connection, partition, batch))
    for (;;) {
      while (!this.#stopped && partition.pending.length < maxInFlight) {
        const batch = this.#nextBatch(partition)
        partition.pending.push(batch)
        answers.push(this.#send(connection, partition, batch))
      }
      const oldest = answers.shift()
      if (oldest === undefined) return
      try {
        await oldest
      } catch (error) {
        for (const answer of answers) answer.catch(() => {}) // they fail with the connection, as this one did
        throw error
      }
      partition.pending.shift()
    }
  }

  #nextBatch(partition: PartitionState): Pending {
    const firstValue = partition.nextValue
    const count = 1 + (firstValue % 7)
    partition.nextValue += count
    for (let i = 0; i < count; i++) this.#observer?.sent(partition.index, firstValue + i)
    const values = Array.from({ length: count }, (_, i) =>
      Buffer.from(`${partition.index}:${firstValue + i}:${'x'.repeat(((firstValue + i) * 37) % 500)}`),
    )
    return { firstValue, count, bytes: batchOf(values, { ...this.#producer, baseSequence: firstValue }) }
  }

  async #send(connection: FramedConnection, { index, acked }: PartitionState, { firstValue, count, bytes }: Pending): Promise<void> {
    const answer = await connection.send(Produce, version, {
      transactionalId: null,
      acks: -1,
      timeoutMs: 10_000,
      topicData: [{ name: this.#topic, partitionData: [{ index, records: bytes }] }],
    })
    const { errorCode, baseOffset } = answer.responses[0]!.partitionResponses[0]!
    // Until the partition has its leader back, while the topic is being created, and when a disk fails, a retry is all it takes.
    if (errorCode === 3 || errorCode === 5 || errorCode === 6 || errorCode === 56) throw new Error(`not yet: ${errorCode}`)
    if (errorCode !== 0) throw new UnexpectedAnswer(`Produce ${index}: error ${errorCode} for sequence ${firstValue}`)
    for (let i = 0; i < count; i++) {
      acked.set(firstValue + i, baseOffset + i)
      this.#observer?.acked(index, firstValue + i, baseOffset + i)
    }
  }
}

/** Not a crash's doing: the driver fails. */
export class UnexpectedAnswer extends Error {}

/** A v2 batch, written here by hand: the verdict must not rest on the code it judges. */
function batchOf(values: readonly Buffer[], producer: { id: number; epoch: number; baseSequence: number }): Buffer {
  const records = new ByteWriter()
  for (const [i, value] of values.entries()) {
    const record = new ByteWriter()
    record.int8(0)
    record.varint(0)
    record.varint(i)
    record.varint(-1)
    record.varint(value.length)
    record.bytes(value)
    record.varint(0)
    records.varint(record.byteLength)
    records.bytes(record.toBuffer())
  }
  const now = Date.now()
  const covered = new ByteWriter() // what the CRC covers
  covered.int16(0)
  covered.int32(values.length - 1)
  covered.int64(now)
  covered.int64(now)
  covered.int64(producer.id)
  covered.int16(producer.epoch)
  covered.int32(producer.baseSequence)
  covered.int32(values.length)
  covered.bytes(records.toBuffer())
  const body = covered.toBuffer()
  const batch = new ByteWriter()
  batch.int64(0)
  batch.int32(body.length + 9)
  batch.int32(-1)
  batch.int8(2)
  batch.uint32(crc32c(body))
  batch.bytes(body)
  return batch.toBuffer()
}
