import { systemRandom } from '@tidelog/core'
import { connectionOptions, parsePropertyWords, readPropertiesFile } from '../clients.ts'
import { CommandFailure } from '../command.ts'
import { flag, list, number, type OptionValues, text, UsageError } from '../option-table.ts'
import { given, requireOption } from '../rules.ts'
import { ClientProperties, renamed } from './client-properties.ts'
import type { RecordFormatter } from './printable-record.ts'
import { formatterNames, recordFormatter } from './record-formatter.ts'

export const consumerOptions = {
  ...connectionOptions,
  topic: text('The topic to read.', { value: 'topic' }),
  include: text('A regular expression for whole names of topics to read.', { value: 'regex' }),
  partition: number('The partition to read, without a group; from its end unless --offset says otherwise.', { value: 'partition' }),
  offset: text('Where to start in the partition: earliest, latest (the default) or an offset.', { value: 'offset' }),
  'from-beginning': flag('Start with the first record where the group has no offset yet.'),
  group: text('The group to be a member of; one of its own when absent, which commits nothing.', { value: 'group' }),
  'max-messages': number('End after so many records.', { value: 'count' }),
  'timeout-ms': number('End when no record comes for so long.', { value: 'ms' }),
  'isolation-level': text(
    'read_committed leaves out records of transactions that are not committed; read_uncommitted (the default) does not.',
    { value: 'level' },
  ),
  'skip-message-on-error': flag('Go on after a record that cannot be printed.'),
  formatter: text(`One of ${formatterNames.join(', ')}.`, { value: 'class' }),
  'formatter-property': list(
    'What is printed and how; may be repeated: print.timestamp, print.partition, print.offset, print.epoch, print.headers, print.key, print.value, key.separator, line.separator, headers.separator, null.literal, key.deserializer, value.deserializer, headers.deserializer.',
    { value: 'name=value' },
  ),
  'formatter-config': text('A properties file with such settings.', { value: 'file' }),
  'key-deserializer': text('How keys are printed: a class of org.apache.kafka.common.serialization.', { value: 'class' }),
  'value-deserializer': text('How values are printed.', { value: 'class' }),
  'command-property': list('A setting of the consumer; may be repeated.', { value: 'name=value' }),
  'enable-systest-events': flag('Says on stdout when it has ended.', { hidden: true }),
  property: list('Now --formatter-property.', { hidden: true }),
  'consumer-property': list('Now --command-property.', { hidden: true }),
  'consumer.config': text('Now --command-config.', { hidden: true }),
}
export type ConsumerValues = OptionValues<typeof consumerOptions>

/** Options that were renamed: their old names are taken with a warning. */
export const renamedOptions = [
  ['property', 'formatter-property'],
  ['consumer-property', 'command-property'],
  ['consumer.config', 'command-config'],
] as const

/** Where reading starts when there is no group: the option, or the end. @throws UsageError */
export function startOffset(values: ConsumerValues): 'earliest' | 'latest' | number {
  const { offset } = values
  if (offset === undefined) return values['from-beginning'] ? 'earliest' : 'latest'
  const name = offset.toLowerCase()
  if (name === 'earliest' || name === 'latest') return name
  const at = /^\d+$/.test(offset) ? Number(offset) : Number.NaN
  if (!Number.isSafeInteger(at))
    throw new UsageError(
      `The provided offset value '${offset}' is incorrect. Valid values are 'earliest', 'latest', or a non-negative long.`,
    )
  return at
}

/** @throws UsageError, CommandFailure in the words of Kafka's tool for options that do not go together. */
export function checkConsumerOptions(values: ConsumerValues): void {
  if (given(values, ['topic', 'include']).length !== 1)
    throw new UsageError('Exactly one of the following arguments is required: [topic], [include]')
  requireOption(values, 'bootstrap-server')
  if (values.partition !== undefined && values.include !== undefined)
    throw new UsageError('The topic is required when partition is specified.')
  if (values.offset !== undefined) {
    if (values.partition === undefined) throw new UsageError('The partition is required when offset is specified.')
    if (values['from-beginning']) throw new UsageError('Options from-beginning and offset cannot be specified together.')
  }
  startOffset(values)
  if (values.group !== undefined && values.partition !== undefined)
    throw new UsageError('Options group and partition cannot be specified together.')
  const level = values['isolation-level'] ?? 'read_uncommitted'
  if (level !== 'read_committed' && level !== 'read_uncommitted')
    throw new CommandFailure(
      `Invalid value ${level} for configuration isolation.level: String must be one of: read_committed, read_uncommitted`,
    )
}

/** @throws UsageError, CommandFailure when settings contradict options. */
export function consumerProperties(values: ConsumerValues): ReadonlyMap<string, string> {
  const words = renamed(['consumer-property', 'command-property'], values['consumer-property'], values['command-property'])
  const file = renamed(['command-config', 'consumer.config'], values['command-config'], values['consumer.config'])
  const properties = new ClientProperties(file, parsePropertyWords(words ?? []))
  properties.set('bootstrap.servers', values['bootstrap-server'] as string)
  properties.option('isolation.level', values['isolation-level'], 'read_uncommitted')
  properties.option('client.id', undefined, 'console-consumer')
  const reset = properties.get('auto.offset.reset')
  if (values['from-beginning'] && reset !== undefined && reset !== 'earliest')
    throw new CommandFailure(`Can't simultaneously specify --from-beginning and 'auto.offset.reset=${reset}', please remove one option`)
  properties.option('auto.offset.reset', undefined, values['from-beginning'] ? 'earliest' : 'latest')
  if (values.partition !== undefined) {
    // Read on its own, and nothing committed for a group that was not asked for.
    properties.set('enable.auto.commit', 'false')
    return properties.all()
  }
  const groups = new Set([values.group, properties.get('group.id')].filter((group) => group !== undefined))
  if (groups.size > 1)
    throw new UsageError(
      `The group ids provided in different places (directly using '--group', via '--consumer-property', or via '--consumer.config') do not match. Detected group ids: ${[...groups].map((group) => `'${group}'`).join(', ')}`,
    )
  const [group] = groups
  properties.set('group.id', group ?? `console-consumer-${systemRandom.int(100_000)}`)
  // A group that nobody will come back to needs no offsets.
  if (group === undefined) properties.option('enable.auto.commit', undefined, 'false')
  return properties.all()
}

/** @throws UsageError for a formatter or deserializer that is not there. */
export function formatterOf(values: ConsumerValues): RecordFormatter {
  const words = renamed(['formatter-property', 'property'], values['formatter-property'], values.property)
  const properties = new Map([...readPropertiesFile(values['formatter-config']), ...parsePropertyWords(words ?? [])])
  if (values['key-deserializer'] !== undefined) properties.set('key.deserializer', values['key-deserializer'])
  if (values['value-deserializer'] !== undefined) properties.set('value.deserializer', values['value-deserializer'])
  try {
    return recordFormatter(values.formatter ?? 'DefaultMessageFormatter', properties)
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}
