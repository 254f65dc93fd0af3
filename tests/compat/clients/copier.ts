/**
 * Consume, transform, produce, exactly once, with our client: copies the topic `input` to `output`, partition by partition, each batch and its
 * offsets in one transaction.
 *
 *   node copier.js BOOTSTRAP TRANSACTIONAL-ID
 *
 * Prints `copied N` behind each commit, N records in all so far; every fifth transaction is aborted first. Ends with 1 when it is fenced.
 */
import { type ConsumedBatch, Consumer, hasCode, Producer, ProducerFencedError, string, TransactionAbortableError } from '@tidelog/tidelog'

const [bootstrapServers = '', transactionalId = ''] = process.argv.slice(2)
const ABORT_EVERY = 5

class Aborted extends Error {}

const quick = { bootstrapServers, retryBackoffMs: 20, reconnectBackoffMs: 10, reconnectBackoffMaxMs: 100 }
const consumer = new Consumer({
  ...quick,
  groupId: 'copiers',
  valueDeserializer: string,
  isolationLevel: 'read_committed',
  autoOffsetReset: 'earliest',
  enableAutoCommit: false,
  sessionTimeoutMs: 3000,
  heartbeatIntervalMs: 300,
  maxPollRecords: 200,
})
const producer = new Producer({ ...quick, transactionalId, valueSerializer: string, transactionTimeoutMs: 10_000, lingerMs: 0 })
let copied = 0
let transactions = 0

async function copy(batch: ConsumedBatch<Buffer, string>): Promise<void> {
  await producer.transaction(async (txn) => {
    for (const { partition, value } of batch) txn.send({ topic: 'output', partition, value: value! })
    txn.sendOffsets(batch.offsets(), consumer.groupMetadata())
    if (++transactions % ABORT_EVERY === 0) throw new Aborted()
  })
  copied += batch.count
  process.stdout.write(`copied ${copied}\n`)
}

/** Nothing of the batch has happened: it is read again, unless its partition has gone to another member. */
function rewind({ topic, partition, records }: ConsumedBatch<Buffer, string>): void {
  const isMine = consumer.assignment().some((one) => one.topic === topic && one.partition === partition)
  if (isMine) consumer.seek({ topic, partition }, records[0]!.offset)
}

consumer.subscribe(['input'])
try {
  for await (const batch of consumer.batches()) {
    try {
      await copy(batch)
    } catch (error) {
      if (!(error instanceof Aborted || error instanceof TransactionAbortableError || hasCode(error, 'TIMEOUT'))) throw error
      // Nobody knows whether it was committed: whoever comes next goes on from what the group has.
      if (hasCode(error, 'TIMEOUT')) process.exit(2)
      rewind(batch)
    }
  }
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
  process.exit(error instanceof ProducerFencedError ? 1 : 3)
}
