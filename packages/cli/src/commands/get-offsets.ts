import type { Admin, OffsetSpec } from '@tidelog/client'
import { connectionOptions, connectionProperties } from '../clients.ts'
import { CommandFailure, defineCommand } from '../command.ts'
import { javaMessage } from '../java-error.ts'
import { flag, type OptionValues, text } from '../option-table.ts'
import { outputFormat, outputOption, renderRows } from '../rows.ts'
import { refuseTogether, requireOption } from '../rules.ts'
import { topicFilter } from '../topics/topic-filter.ts'

const options = {
  ...connectionOptions,
  ...outputOption,
  topic: text('The topic, or a regular expression for whole names; all when absent.', { value: 'topic' }),
  partitions: text('The partitions; all when absent.', { value: 'ids' }),
  'topic-partitions': text('Topics with their partitions, for example t1:1,t2:0-3,t3,t4:5-,t5:-3.', { value: 'patterns' }),
  time: text(
    'latest or -1 (the default), earliest or -2, max-timestamp or -3, earliest-local or -4, latest-tiered or -5, earliest-pending-upload or -6, or a timestamp in ms.',
    { value: 'time' },
  ),
  'exclude-internal-topics': flag('Leaves out the topics that brokers keep for themselves.'),
}
type Values = OptionValues<typeof options>

interface Place {
  readonly topic: string
  readonly partition: number
}

/** kafka-get-offsets. */
export const getOffsets = defineCommand({
  name: 'get-offsets',
  summary: 'Prints offsets of partitions: the first, the last, or the first since a time.',
  options,
  check(values) {
    requireOption(values, 'bootstrap-server')
    refuseTogether(values, 'topic-partitions', ['topic', 'partitions'])
    outputFormat(values.output)
  },
  async run(values, { clients, stdout, interrupted: signal }) {
    const spec = offsetSpec(values.time ?? 'latest')
    const wanted = partitionFilter(values)
    const admin = await clients.admin(connectionProperties(values))
    try {
      const places = await matchingPartitions(admin, wanted, values, signal)
      if (places.length === 0) throw new CommandFailure('Could not match any topic-partitions with the specified filters')
      const found = (
        await admin.listOffsets(
          places.map((place) => ({ ...place, spec })),
          { signal },
        )
      ).filter(({ offset }) => offset !== -1)
      const format = outputFormat(values.output)
      if (format === 'table') stdout.write(found.map(({ topic, partition, offset }) => `${topic}:${partition}:${offset}\n`).join(''))
      else
        stdout.write(
          renderRows(
            found.map(({ topic, partition, offset }) => ({ topic, partition, offset })),
            ['topic', 'partition', 'offset'],
            format,
          ),
        )
      return 0
    } catch (error) {
      signal.throwIfAborted()
      throw new CommandFailure(`Error occurred: ${javaMessage(error)}`)
    } finally {
      await admin.close()
    }
  },
})

const names = ['latest', 'earliest', 'max-timestamp', 'earliest-local', 'latest-tiered', 'earliest-pending-upload'] as const

function offsetSpec(time: string): OffsetSpec {
  const name = names.find((candidate, i) => time === candidate || time === String(-(i + 1)))
  if (name !== undefined) return name
  const timestamp = /^-?\d+$/.test(time) ? Number(time) : Number.NaN
  if (!Number.isSafeInteger(timestamp) || timestamp < 0)
    throw new CommandFailure(
      `Error occurred: Malformed time argument ${time}. Please use -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or earliest-local / -5 or latest-tiered / -6 or earliest-pending-upload, or a specified long format timestamp`,
    )
  return { timestamp }
}

type PartitionFilter = (place: Place) => boolean

function partitionFilter(values: Values): PartitionFilter {
  try {
    if (values['topic-partitions'] !== undefined) {
      const filters = values['topic-partitions'].split(',').map(patternFilter)
      return (place) => filters.some((matches) => matches(place))
    }
    const isTopic = values.topic === undefined ? () => true : topicFilter(values.topic)
    const partitions = values.partitions?.split(',').map((id) => {
      if (!/^\d+$/.test(id.trim()))
        throw new Error(`--partitions expects a comma separated list of numeric partition ids, but received: ${values.partitions}`)
      return Number(id)
    })
    return ({ topic, partition }) => isTopic(topic) && (partitions?.includes(partition) ?? true)
  } catch (error) {
    throw new CommandFailure(`Error occurred: ${(error as Error).message}`)
  }
}

/** `topic:partition`, where the topic is an expression and the partition a number, `from-to` (without `to`), `from-`, `-to` or nothing. */
function patternFilter(pattern: string): PartitionFilter {
  const [, topic = '', only, from, to] = /^([^:,]*)(?::(?:(\d*)|(\d*)-(\d*)))?$/.exec(pattern) ?? bad(pattern)
  const isTopic = topic === '' ? () => true : topicFilter(topic)
  const first = only ? Number(only) : Number(from || 0)
  const end = only ? first + 1 : to ? Number(to) : Number.POSITIVE_INFINITY
  return (place) => isTopic(place.topic) && place.partition >= first && place.partition < end
}

function bad(pattern: string): never {
  throw new Error(`Invalid rule specification: ${pattern}`)
}

async function matchingPartitions(admin: Admin, wanted: PartitionFilter, values: Values, signal: AbortSignal): Promise<Place[]> {
  const listed = await admin.listTopics({ includeInternal: !values['exclude-internal-topics'], signal })
  const described = await admin.describeTopics(
    listed.map(({ name }) => name),
    { signal },
  )
  const places = [...described.values()].flatMap(({ name, partitions }) => partitions.map(({ partition }) => ({ topic: name, partition })))
  // Kafka's tool sorts partitions as text: 1, 10, 2.
  return places.filter(wanted).sort((a, b) => compare(a.topic, b.topic) || compare(String(a.partition), String(b.partition)))
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)
