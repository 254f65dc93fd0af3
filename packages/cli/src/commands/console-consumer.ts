import { once } from 'node:events'
import type { Consumer } from '@tidelog/client'
import { type CommandContext, defineCommand } from '../command.ts'
import {
  type ConsumerValues,
  checkConsumerOptions,
  consumerOptions,
  consumerProperties,
  formatterOf,
  renamedOptions,
  startOffset,
} from '../console/consumer-options.ts'
import type { RecordFormatter } from '../console/printable-record.ts'
import { given } from '../rules.ts'
import { topicPattern } from '../topics/topic-filter.ts'

/** As the consumer's own default, `max.poll.records`. */
const recordsAtOnce = 500
/** A poll ends at least so often, to see whether it is time to end. */
const longestPollMs = 1000

/** kafka-console-consumer. */
export const consoleConsumer = defineCommand({
  name: 'console-consumer',
  summary: 'Prints the records of topics as they come.',
  options: consumerOptions,
  check: checkConsumerOptions,
  async run(values, context) {
    const properties = consumerProperties(values)
    const format = formatterOf(values)
    for (const [before, today] of renamedOptions)
      if (given(values, [before]).length > 0)
        context.stdout.write(`Option --${before} is deprecated and will be removed in a future version. Use --${today} instead.\n`)
    const consumer = await context.clients.consumer(properties)
    const printed = { count: 0 }
    try {
      start(consumer, values)
      await printRecords(consumer, values, format, printed, context)
    } catch (error) {
      if (!context.interrupted.aborted) throw error
    } finally {
      context.stderr.write(`Processed a total of ${printed.count} messages\n`)
      await consumer.close()
      if (values['enable-systest-events']) context.stdout.write('shutdown_complete\n')
    }
    context.interrupted.throwIfAborted()
    return 0
  },
})

function start(consumer: Consumer<Buffer, Buffer>, values: ConsumerValues): void {
  if (values.include !== undefined) {
    consumer.subscribe(topicPattern(values.include))
    return
  }
  const topic = values.topic as string
  if (values.partition === undefined) {
    consumer.subscribe([topic])
    return
  }
  const place = { topic, partition: values.partition }
  consumer.assign([place])
  const offset = startOffset(values)
  if (offset === 'earliest') consumer.seekToBeginning([place])
  else if (offset === 'latest') consumer.seekToEnd([place])
  else consumer.seek(place, offset)
}

/** Prints until the count is reached, nothing comes for too long, or the user has had enough. */
async function printRecords(
  consumer: Consumer<Buffer, Buffer>,
  values: ConsumerValues,
  format: RecordFormatter,
  printed: { count: number },
  { stdout, stderr, interrupted: signal }: CommandContext,
): Promise<void> {
  const limit = values['max-messages'] ?? Number.POSITIVE_INFINITY
  const patienceMs = values['timeout-ms'] ?? Number.POSITIVE_INFINITY
  let waitedMs = 0
  while (printed.count < limit && !signal.aborted) {
    const timeoutMs = Math.min(longestPollMs, patienceMs - waitedMs)
    // Never more than will be printed: what is polled is committed.
    const polled = await consumer.poll({ timeoutMs, maxRecords: Math.min(recordsAtOnce, limit - printed.count), signal })
    if (polled.count === 0) {
      waitedMs += timeoutMs
      if (waitedMs >= patienceMs) return
      continue
    }
    waitedMs = 0
    const chunks: Buffer[] = []
    for (const record of polled) {
      printed.count++
      try {
        // Kafka's console consumer drops the leader epoch, so print.epoch always shows NOT_PRESENT there.
        const { topic, partition, offset, timestamp, timestampType, keyBytes, valueBytes, headers } = record
        chunks.push(format({ topic, partition, offset, timestamp, timestampType, key: keyBytes, value: valueBytes, headers }))
      } catch (error) {
        if (!values['skip-message-on-error']) throw error
        stderr.write(`Error processing message, skipping this message: ${(error as Error).message}\n`)
      }
    }
    if (!stdout.write(Buffer.concat(chunks)) && !signal.aborted) await once(stdout, 'drain', { signal })
  }
}
