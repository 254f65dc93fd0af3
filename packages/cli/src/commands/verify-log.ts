import { join } from 'node:path'
import {
  type LogDirLock,
  lockLogDir,
  nodeFileSystem,
  parsePartitionFolder,
  type VerifiedPartition,
  verifyPartition,
} from '@tidelog/storage'
import { CommandFailure, defineCommand } from '../command.ts'
import { text } from '../option-table.ts'
import { outputFormat, outputOption, renderRows } from '../rows.ts'
import { requireOption } from '../rules.ts'
import { topicFilter } from '../topics/topic-filter.ts'

const KRAFT_METADATA = '__cluster_metadata-0'

type Row = {
  readonly partition: string
  readonly segments: number
  readonly batches: number
  readonly records: number
  readonly firstOffset: number
  readonly nextOffset: number
  readonly problems: string
}

/** Reads whole logs, as no broker does of its own accord: what has rotted is found before somebody needs it. Kafka's nearest is kafka-dump-log. */
export const verifyLog = defineCommand({
  name: 'verify-log',
  summary:
    'Reads the logs in log dirs and reports damage: checksums, offsets, indexes, snapshots, epochs. Changes nothing; beside a running broker the segments it writes to are left out.',
  options: {
    ...outputOption,
    'log-dirs': text('The log dirs, separated by commas.', { required: true, value: 'dirs' }),
    topic: text('The topic, or a regular expression for whole names; all when absent.', { value: 'topic' }),
  },
  check(values) {
    requireOption(values, 'log-dirs')
    outputFormat(values.output)
  },
  async run(values, { stdout, stderr, interrupted }) {
    const isWanted = values.topic === undefined ? () => true : topicFilter(values.topic)
    const format = outputFormat(values.output)
    const rows: Row[] = []
    let isSound = true
    for (const dir of values['log-dirs']!.split(',')) {
      const lock = await lockOf(dir)
      if (lock === undefined) stderr.write(`${dir}: a broker is at work, its active segments are left out\n`)
      try {
        for (const { name } of await nodeFileSystem.list(dir)) {
          interrupted.throwIfAborted()
          const folder = parsePartitionFolder(name)
          if (folder.kind !== 'partition' || name === KRAFT_METADATA || !isWanted(folder.topic)) continue
          const found = await verifyPartition(join(dir, name), nodeFileSystem, { closedOnly: lock === undefined })
          for (const problem of found.problems) stderr.write(`${problem}\n`)
          if (found.problems.length > 0) isSound = false
          rows.push(rowOf(name, found))
        }
      } finally {
        lock?.release()
      }
    }
    if (format === 'table') stdout.write(rows.map(lineOf).join(''))
    else stdout.write(renderRows(rows, ['partition', 'segments', 'batches', 'records', 'firstOffset', 'nextOffset', 'problems'], format))
    return isSound ? 0 : 1
  },
})

/** Holds the directory, so that no broker starts in it meanwhile; undefined when one is there. @throws CommandFailure when it is no directory. */
async function lockOf(dir: string): Promise<LogDirLock | undefined> {
  const found = await nodeFileSystem.stat(dir)
  if (found?.isDirectory !== true) throw new CommandFailure(`${dir} is not a directory`)
  try {
    return lockLogDir(dir)
  } catch {
    return undefined
  }
}

function rowOf(partition: string, { segments, batches, records, firstOffset, nextOffset, problems }: VerifiedPartition): Row {
  return { partition, segments, batches, records, firstOffset, nextOffset, problems: problems.join('; ') }
}

function lineOf({ partition, segments, batches, records, firstOffset, nextOffset, problems }: Row): string {
  const state = problems === '' ? 'sound' : 'DAMAGED'
  return `${partition}: ${state}, ${segments} segments, ${batches} batches, ${records} records, offsets ${firstOffset} to ${nextOffset}\n`
}
