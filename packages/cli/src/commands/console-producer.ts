import type { Producer } from '@tidelog/client'
import { connectionOptions, parsePropertyWords, readPropertiesFile } from '../clients.ts'
import { type CommandContext, CommandFailure, defineCommand } from '../command.ts'
import { ClientProperties, renamed } from '../console/client-properties.ts'
import { type LineFormat, type LineRecord, lineFormat, parseLine } from '../console/line-parser.ts'
import { readLines } from '../console/read-lines.ts'
import { flag, list, number, type OptionValues, optional, text } from '../option-table.ts'
import { given, requireOption } from '../rules.ts'

const options = {
  ...connectionOptions,
  topic: text('The topic to send to.', { value: 'topic' }),
  sync: flag('Wait for each record before the next is sent.'),
  'compression-codec': optional('none, gzip (when the option has no value), snappy, lz4 or zstd.', { value: 'codec' }),
  'batch-size': number('The size in bytes up to which records of a partition are gathered; 16384 by default.', { value: 'bytes' }),
  timeout: number('How long in ms a record may wait for others, linger.ms; 1000 by default.', { value: 'ms' }),
  'request-required-acks': text('0, 1 or -1 (all, the default).', { value: 'acks' }),
  'request-timeout-ms': number('How long a request may take in ms; 1500 by default.', { value: 'ms' }),
  'message-send-max-retries': number('How often a batch is sent again; 3 by default.', { value: 'count' }),
  'retry-backoff-ms': number('The wait before that in ms; 100 by default.', { value: 'ms' }),
  'max-block-ms': number('How long to wait for metadata or room in memory; 60000 by default.', { value: 'ms' }),
  'max-memory-bytes': number('Memory for records that wait to be sent; 33554432 by default.', { value: 'bytes' }),
  'metadata-expiry-ms': number('The age in ms at which metadata is fetched anew; 300000 by default.', { value: 'ms' }),
  'socket-buffer-size': number('The size of the socket buffer for sending; 102400 by default.', { value: 'bytes' }),
  'command-property': list('A setting of the producer; may be repeated.', { value: 'name=value' }),
  'line-reader': text('Accepted with the name of the reader that is here: org.apache.kafka.tools.LineMessageReader.', { value: 'class' }),
  'reader-property': list(
    'How lines are read; may be repeated: parse.key, key.separator, parse.headers, headers.delimiter, headers.separator, headers.key.separator, null.marker, ignore.error.',
    { value: 'name=value' },
  ),
  'reader-config': text('A properties file with such settings.', { value: 'file' }),
  property: list('Now --reader-property.', { hidden: true }),
  'producer-property': list('Now --command-property.', { hidden: true }),
  'producer.config': text('Now --command-config.', { hidden: true }),
  'max-partition-memory-bytes': number('Now --batch-size.', { hidden: true }),
}
type Values = OptionValues<typeof options>

const deprecated: readonly (readonly [option: string, advice: string])[] = [
  ['property', 'a future version. Use --reader-property instead.'],
  ['producer-property', 'a future version. Use --command-property instead.'],
  ['producer.config', 'a future version. Use --command-config instead.'],
  ['max-partition-memory-bytes', 'Apache Kafka 5.0. Use --batch-size instead.'],
]

/** kafka-console-producer. */
export const consoleProducer = defineCommand({
  name: 'console-producer',
  summary: 'Sends each line of standard input as a record.',
  options,
  check: (values) => requireOption(values, 'topic', 'bootstrap-server'),
  async run(values, context) {
    const properties = producerProperties(values)
    const format = readerFormat(values)
    for (const [option, advice] of deprecated)
      if (given(values, [option]).length > 0) context.stdout.write(`Warning: --${option} is deprecated and will be removed in ${advice}\n`)
    const producer = await context.clients.producer(properties)
    try {
      return await sendLines(producer, values, format, context)
    } finally {
      await producer.close()
    }
  },
})

function producerProperties(values: Values): ReadonlyMap<string, string> {
  const words = renamed(['command-property', 'producer-property'], values['command-property'], values['producer-property'])
  const file = renamed(['command-config', 'producer.config'], values['command-config'], values['producer.config'])
  const properties = new ClientProperties(file, parsePropertyWords(words ?? []))
  properties.set('bootstrap.servers', values['bootstrap-server'] as string)
  const codec = values['compression-codec']
  properties.option('compression.type', codec === '' ? 'gzip' : codec, 'none')
  properties.option('acks', values['request-required-acks'], '-1')
  properties.option('batch.size', values['batch-size'] ?? values['max-partition-memory-bytes'], 16384)
  properties.option('linger.ms', values.timeout, 1000)
  properties.option('retries', values['message-send-max-retries'], 3)
  properties.option('retry.backoff.ms', values['retry-backoff-ms'], 100)
  properties.option('request.timeout.ms', values['request-timeout-ms'], 1500)
  properties.option('max.block.ms', values['max-block-ms'], 60_000)
  properties.option('buffer.memory', values['max-memory-bytes'], 33_554_432)
  properties.option('metadata.max.age.ms', values['metadata-expiry-ms'], 300_000)
  properties.option('send.buffer.bytes', values['socket-buffer-size'], 102_400)
  properties.option('client.id', undefined, 'console-producer')
  return properties.all()
}

function readerFormat(values: Values): LineFormat {
  const reader = values['line-reader'] ?? 'LineMessageReader'
  if (!/(^|\.)LineMessageReader$/.test(reader)) throw new CommandFailure(`There is no reader ${reader}; there is LineMessageReader`)
  const words = renamed(['reader-property', 'property'], values['reader-property'], values.property)
  try {
    return lineFormat(new Map([...readPropertiesFile(values['reader-config']), ...parsePropertyWords(words ?? [])]))
  } catch (error) {
    throw new CommandFailure((error as Error).message)
  }
}

type TextProducer = Producer<string, string>

/** @returns The exit code: 1 when a record was not delivered. */
async function sendLines(producer: TextProducer, values: Values, format: LineFormat, context: CommandContext): Promise<number> {
  const { stdin, stdout, stderr, interrupted: signal } = context
  const topic = values.topic as string
  const isConsole = stdin.isTTY === true && (stdout as { isTTY?: boolean }).isTTY === true
  const prompt = () => isConsole && stdout.write('>')
  let failures = 0
  const report = (error: Error, { key, value }: LineRecord) => {
    failures++
    const size = value === null ? 'null' : `${Buffer.byteLength(value)} bytes`
    stderr.write(`Error when sending message to topic ${topic} with key: ${key ?? 'null'}, value: ${size} with error: ${error.message}\n`)
  }
  signal.addEventListener('abort', () => stdin.destroy(), { once: true })
  let lineNumber = 0
  prompt()
  try {
    for await (const lines of readLines(stdin)) {
      for (const line of lines) {
        lineNumber++
        const record = parsed(line, lineNumber, format)
        if (values.sync) await producer.send({ topic, ...record }, { signal }).catch((error: Error) => report(error, record))
        else while (!producer.enqueue({ topic, ...record }, (error) => error && report(error, record))) await producer.ready({ signal })
      }
      prompt()
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
  await producer.flush()
  signal.throwIfAborted()
  return failures === 0 ? 0 : 1
}

function parsed(line: string, lineNumber: number, format: LineFormat): LineRecord {
  try {
    return parseLine(line, lineNumber, format)
  } catch (error) {
    throw new CommandFailure(`org.apache.kafka.common.KafkaException: ${(error as Error).message}`)
  }
}
