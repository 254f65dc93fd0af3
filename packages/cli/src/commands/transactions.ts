import type { Admin } from '@tidelog/client'
import { connectionOptions, connectionProperties } from '../clients.ts'
import { type CommandContext, CommandFailure } from '../command.ts'
import { javaMessage } from '../java-error.ts'
import { number, type OptionValues, text, UsageError } from '../option-table.ts'
import { type Cell, outputFormat, outputOption, renderRows, tabbedTable } from '../rows.ts'
import { defineSubcommands, subcommand } from '../subcommands.ts'
import { hangingAmong, openTransactions, partitionsOf } from '../transactions/hanging.ts'

const shared = { ...connectionOptions, ...outputOption }
type Shared = OptionValues<typeof shared>

const place = {
  topic: text('The topic.', { value: 'topic', required: true }),
  partition: number('Its partition.', { value: 'partition', required: true }),
}
const MINUTE_MS = 60_000

/** kafka-transactions. */
export const transactions = defineSubcommands({
  name: 'transactions',
  summary: 'Shows transactions and the producers behind them, finds those that hang, and ends them.',
  options: shared,
  mistake: (message, usage) => `${usage}kafka-transactions.sh: error: ${message}\n`,
  subcommands: {
    list: subcommand(shared, {
      summary: 'Lists transactional ids, their coordinators and states.',
      options: {
        'duration-filter': number('Only transactions that have been running for longer; all when negative.', { value: 'ms' }),
        'transactional-id-pattern': text('Only ids that this regular expression matches.', { value: 'regex' }),
      },
      run: (values, context) =>
        withAdmin(values, context, 'Failed to list transactions', async (admin) => {
          const listed = await admin.listTransactions({
            durationMs: values['duration-filter'],
            transactionalIdPattern: values['transactional-id-pattern'],
            signal: context.interrupted,
          })
          const rows = [...listed].flatMap(([coordinator, ids]) =>
            ids.map((one) => [one.transactionalId, coordinator, one.producerId, one.state]),
          )
          print(['TransactionalId', 'Coordinator', 'ProducerId', 'TransactionState'], rows, values, context)
        }),
    }),
    describe: subcommand(shared, {
      summary: 'Shows the state of a transactional id.',
      options: { 'transactional-id': text('The id.', { value: 'id', required: true }) },
      run: (values, context) => {
        const id = values['transactional-id'] as string
        return withAdmin(values, context, `Failed to describe transaction state of transactional-id \`${id}\``, async (admin) => {
          const found = await describe(admin, id, context.interrupted)
          const startMs = found.transactionStartTimeMs
          const row = [
            found.coordinatorId,
            id,
            found.producerId,
            found.producerEpoch,
            found.state,
            found.transactionTimeoutMs,
            startMs ?? 'None',
            startMs === undefined ? 'None' : Date.now() - startMs,
            found.partitions.map(({ topic, partition }) => `${topic}-${partition}`).join(','),
          ]
          print(describedColumns, [row], values, context)
        })
      },
    }),
    'describe-producers': subcommand(shared, {
      summary: 'Shows the producers that are active in a partition.',
      options: { ...place, 'broker-id': number('Ask this broker instead of the leader.', { value: 'id' }) },
      run: (values, context) => {
        const { topic, partition } = values as { topic: string; partition: number }
        const brokerId = values['broker-id']
        const asked = brokerId === undefined ? 'leader' : `broker ${brokerId}`
        return withAdmin(values, context, `Failed to describe producers for partition ${topic}-${partition} on ${asked}`, async (admin) => {
          const [described] = await admin.describeProducers([{ topic, partition }], { brokerId, signal: context.interrupted })
          const rows = (described?.activeProducers ?? []).map((producer) => [
            producer.producerId,
            producer.producerEpoch,
            producer.coordinatorEpoch,
            producer.lastSequence,
            producer.lastTimestamp,
            producer.currentTxnStartOffset < 0 ? 'None' : producer.currentTxnStartOffset,
          ])
          print(producerColumns, rows, values, context)
        })
      },
    }),
    abort: subcommand(shared, {
      summary: 'Ends a transaction that hangs in a partition.',
      options: {
        ...place,
        'start-offset': number('Where the transaction begins there.', { value: 'offset' }),
        'producer-id': number('Instead of the offset, for brokers before 3.0: the producer.', { value: 'id' }),
        'producer-epoch': number('With --producer-id.', { value: 'epoch' }),
        'coordinator-epoch': number('With --producer-id.', { value: 'epoch' }),
      },
      run: async (values, context) => {
        const startOffset = values['start-offset']
        if (startOffset === undefined && values['producer-id'] === undefined) {
          throw new CommandFailure(
            'The transaction to abort must be identified either with --start-offset (for brokers on 3.0 or above) or with ' +
              '--producer-id, --producer-epoch, and --coordinator-epoch (for older brokers)',
          )
        }
        const at = { topic: values.topic as string, partition: values.partition as number }
        if (startOffset !== undefined) return abortByOffset(at, startOffset, values, context)
        const [producerEpoch, coordinatorEpoch] = [values['producer-epoch'], values['coordinator-epoch']]
        if (producerEpoch === undefined) throw new CommandFailure('Missing required argument --producer-epoch')
        if (coordinatorEpoch === undefined) throw new CommandFailure('Missing required argument --coordinator-epoch')
        return abort({ ...at, producerId: values['producer-id'] as number, producerEpoch, coordinatorEpoch }, values, context)
      },
    }),
    'find-hanging': subcommand(shared, {
      summary: 'Finds transactions that no coordinator will end.',
      options: {
        'broker-id': number('In partitions of this broker.', { value: 'id' }),
        'max-transaction-timeout': number('Only those without a batch for so many minutes; 15 by default.', { value: 'minutes' }),
        topic: text('In this topic.', { value: 'topic' }),
        partition: number('In this partition of it.', { value: 'partition' }),
      },
      run: (values, context) => {
        const { topic, partition } = values
        const brokerId = values['broker-id']
        if (topic === undefined && brokerId === undefined) {
          throw new CommandFailure('The `find-hanging` command requires either --topic or --broker-id to limit the scope of the search')
        }
        if (partition !== undefined && topic === undefined) {
          throw new CommandFailure('The --partition argument requires --topic to be provided')
        }
        return withAdmin(values, context, 'Failed to find hanging transactions', async (admin) => {
          const signal = context.interrupted
          const nowMs = Date.now()
          const topics = topic === undefined ? (await admin.listTopics({ includeInternal: true, signal })).map(({ name }) => name) : [topic]
          const places =
            topic !== undefined && partition !== undefined
              ? [{ topic, partition }]
              : await partitionsOf(admin, topics, { brokerId, signal })
          const silentMs = (values['max-transaction-timeout'] ?? 15) * MINUTE_MS
          const hanging = await hangingAmong(admin, await openTransactions(admin, places, { silentMs, nowMs, signal }), signal)
          const rows = hanging.map((open) => [
            open.topic,
            open.partition,
            open.producerId,
            open.producerEpoch,
            open.coordinatorEpoch,
            open.startOffset,
            open.lastTimestamp,
            Math.floor((nowMs - open.lastTimestamp) / MINUTE_MS),
          ])
          print(hangingColumns, rows, values, context)
        })
      },
    }),
    forceTerminateTransaction: subcommand(shared, {
      summary: 'Ends what a transactional id has open, and keeps its producer from going on.',
      options: { transactionalId: text('The id.', { value: 'id', required: true }) },
      run: (values, context) => {
        const id = values.transactionalId as string
        return withAdmin(values, context, `Failed to force terminate transactionalId \`${id}\``, (admin) =>
          admin.forceTerminateTransaction(id, { signal: context.interrupted }),
        )
      },
    }),
  },
})

const describedColumns = [
  'CoordinatorId',
  'TransactionalId',
  'ProducerId',
  'ProducerEpoch',
  'TransactionState',
  'TransactionTimeoutMs',
  'CurrentTransactionStartTimeMs',
  'TransactionDurationMs',
  'TopicPartitions',
]
const producerColumns = [
  'ProducerId',
  'ProducerEpoch',
  'LatestCoordinatorEpoch',
  'LastSequence',
  'LastTimestamp',
  'CurrentTransactionStartOffset',
]
const hangingColumns = [
  'Topic',
  'Partition',
  'ProducerId',
  'ProducerEpoch',
  'CoordinatorEpoch',
  'StartOffset',
  'LastTimestamp',
  'Duration(min)',
]

/** @param failure How what the cluster refuses is introduced. */
async function withAdmin(
  values: Shared,
  { clients, interrupted }: CommandContext,
  failure: string,
  use: (admin: Admin) => Promise<void>,
): Promise<number> {
  if (values['bootstrap-server'] === undefined) throw new UsageError('argument --bootstrap-server is required')
  const admin = await clients.admin(connectionProperties(values))
  try {
    await use(admin)
    return 0
  } catch (error) {
    interrupted.throwIfAborted()
    if (error instanceof CommandFailure || error instanceof UsageError) throw error
    throw new CommandFailure(`${failure}: ${javaMessage(error)}. Enable debug logging for additional detail.`)
  } finally {
    await admin.close()
  }
}

/** Kafka's client has words of its own for an id that its coordinator does not know. */
async function describe(admin: Admin, id: string, signal: AbortSignal) {
  const described = await admin.describeTransactions([id], { signal }).catch((error: unknown) => {
    if ((error as { code?: string }).code !== 'TRANSACTIONAL_ID_NOT_FOUND') throw error
    throw new Error(`DescribeTransactions request for transactionalId \`${id}\` failed because the ID could not be found`)
  })
  return described.get(id)!
}

function print(
  columns: readonly string[],
  rows: readonly (readonly (string | number)[])[],
  values: Shared,
  { stdout }: CommandContext,
): void {
  const format = outputFormat(values.output)
  if (format === 'table') stdout.write(tabbedTable(columns, rows))
  else {
    const named = rows.map((cells) => Object.fromEntries(columns.map((column, index) => [column, cells[index] as Cell])))
    stdout.write(renderRows(named, columns, format))
  }
}

interface AbortSpec {
  readonly topic: string
  readonly partition: number
  readonly producerId: number
  readonly producerEpoch: number
  readonly coordinatorEpoch: number
}

function abort(spec: AbortSpec, values: Shared, context: CommandContext): Promise<number> {
  // A producer whose first transaction hangs has no coordinator epoch yet: 0 is not above any that there can be.
  const abortSpec = { ...spec, coordinatorEpoch: Math.max(0, spec.coordinatorEpoch) }
  const { topic, partition, producerId, producerEpoch, coordinatorEpoch } = abortSpec
  const shown = `AbortTransactionSpec(topicPartition=${topic}-${partition}, producerId=${producerId}, producerEpoch=${producerEpoch}, coordinatorEpoch=${coordinatorEpoch})`
  return withAdmin(values, context, `Failed to abort transaction ${shown}`, (admin) =>
    admin.abortTransaction(abortSpec, { signal: context.interrupted }),
  )
}

async function abortByOffset(
  at: { topic: string; partition: number },
  startOffset: number,
  values: Shared,
  context: CommandContext,
): Promise<number> {
  let found: AbortSpec | undefined
  await withAdmin(values, context, `Failed to validate producer state for partition ${at.topic}-${at.partition}`, async (admin) => {
    const [described] = await admin.describeProducers([at], { signal: context.interrupted })
    const producer = described?.activeProducers.find(({ currentTxnStartOffset }) => currentTxnStartOffset === startOffset)
    if (producer === undefined) {
      throw new CommandFailure(
        `Could not find any open transactions starting at offset ${startOffset} on partition ${at.topic}-${at.partition}`,
      )
    }
    const { producerId, producerEpoch, coordinatorEpoch } = producer
    found = { ...at, producerId, producerEpoch, coordinatorEpoch }
  })
  return abort(found!, values, context)
}
