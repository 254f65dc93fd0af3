import type { LogDirDescription, ReplicaInLogDir } from '@tidelog/client'
import { javaHashOrderOf, javaStringHash, javaTopicPartitionHash } from '@tidelog/core'
import { connectionOptions, connectionProperties } from '../clients.ts'
import { CommandFailure, defineCommand } from '../command.ts'
import { javaClassName, javaMessage } from '../java-error.ts'
import { flag, text } from '../option-table.ts'
import { type Cell, outputFormat, outputOption, renderRows } from '../rows.ts'
import { requireOption } from '../rules.ts'

/** kafka-log-dirs. */
export const logDirs = defineCommand({
  name: 'log-dirs',
  summary: 'Shows the log dirs of brokers, and the partitions in them with their sizes.',
  options: {
    ...connectionOptions,
    ...outputOption,
    describe: flag('Describes the log dirs: the one thing that this command does.'),
    'broker-list': text('The brokers, for example 0,1,2; all when absent.', { value: 'ids' }),
    'topic-list': text('The topics whose partitions are shown, for example t1,t2; all when absent.', { value: 'topics' }),
  },
  check(values) {
    requireOption(values, 'bootstrap-server', 'describe')
    outputFormat(values.output)
  },
  async run(values, { clients, stdout, interrupted: signal }) {
    const format = outputFormat(values.output)
    const topics = new Set(itemsOf(values['topic-list']))
    const wanted = itemsOf(values['broker-list']).map(brokerId)
    const admin = await clients.admin(connectionProperties(values))
    try {
      const known = (await admin.describeCluster({ signal })).brokers.map(({ nodeId }) => nodeId)
      const missing = wanted.filter((id) => !known.includes(id))
      if (missing.length > 0)
        throw new CommandFailure(
          `ERROR: The given brokers do not exist from --broker-list: ${listed(missing)}. Current existent brokers: ${listed(known)}`,
        )
      const brokers = inOrder(wanted.length > 0 ? wanted : known)
      if (format === 'table') stdout.write('Querying brokers for log directories information\n')
      const described = await admin.describeLogDirs({ brokers, signal })
      const isWanted = ({ topic }: ReplicaInLogDir) => topics.size === 0 || topics.has(topic)
      // As Java's two maps have them: one of all replicas, and one of those that are wanted.
      const dirsOf = (id: number): LogDirDescription[] =>
        dirsInHashOrder(described.get(id) ?? []).map((dir) => ({
          ...dir,
          replicas: inHashOrder(inHashOrder(dir.replicas).filter(isWanted)),
        }))
      if (format !== 'table')
        stdout.write(
          renderRows(
            brokers.flatMap((id) => rowsOf(id, dirsOf(id))),
            columns,
            format,
          ),
        )
      else
        stdout.write(
          `Received log directory information from brokers ${listed(brokers)}\n${JSON.stringify({
            brokers: brokers.map((broker) => ({ broker, logDirs: dirsOf(broker).map(printable) })),
            version: 1,
          })}\n`,
        )
      return 0
    } catch (error) {
      signal.throwIfAborted()
      throw error instanceof CommandFailure ? error : new CommandFailure(javaMessage(error))
    } finally {
      await admin.close()
    }
  },
})

const itemsOf = (list = ''): string[] => list.split(',').filter((item) => item !== '')

function brokerId(item: string): number {
  if (!/^[+-]?\d{1,10}$/.test(item)) throw new CommandFailure(`For input string: "${item}"`)
  return Number(item)
}

/** Each id once, as Java iterates over a set of small numbers. */
const inOrder = (ids: readonly number[]): number[] => javaHashOrderOf([...new Set(ids)], (id) => id)
const listed = (ids: readonly number[]): string => inOrder(ids).join(',')

/** Java keeps them in a map that is made as large as their number. */
const dirsInHashOrder = (dirs: readonly LogDirDescription[]): LogDirDescription[] =>
  javaHashOrderOf(dirs, ({ path }) => javaStringHash(path), dirs.length)

const inHashOrder = (replicas: readonly ReplicaInLogDir[]): ReplicaInLogDir[] => javaHashOrderOf(replicas, javaTopicPartitionHash)

/** Keys in the order in which Kafka's tool writes them. */
function printable({ path, error, replicas }: LogDirDescription): object {
  return {
    partitions: replicas.map(({ topic, partition, sizeBytes, offsetLag, isFuture }) => ({
      partition: `${topic}-${partition}`,
      size: sizeBytes,
      offsetLag,
      isFuture,
    })),
    error: error === undefined ? null : javaClassName(error),
    logDir: path,
  }
}

const columns = [
  'broker',
  'logDir',
  'error',
  'isCordoned',
  'totalBytes',
  'usableBytes',
  'topic',
  'partition',
  'size',
  'offsetLag',
  'isFuture',
]

/** A row a replica; one without a topic for a directory that has none. */
function rowsOf(broker: number, dirs: readonly LogDirDescription[]): Readonly<Record<string, Cell>>[] {
  return dirs.flatMap(({ path, error, isCordoned, totalBytes, usableBytes, replicas }): Readonly<Record<string, Cell>>[] => {
    const dir = { broker, logDir: path, error: error?.code ?? null, isCordoned, totalBytes, usableBytes }
    const none = { ...dir, topic: null, partition: null, size: null, offsetLag: null, isFuture: null }
    if (replicas.length === 0) return [none]
    return replicas.map(({ topic, partition, sizeBytes, offsetLag, isFuture }) => ({
      ...dir,
      topic,
      partition,
      size: sizeBytes,
      offsetLag,
      isFuture,
    }))
  })
}
