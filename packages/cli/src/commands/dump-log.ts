import { existsSync } from 'node:fs'
import { basename, isAbsolute } from 'node:path'
import { javaHashOrder } from '@tidelog/core'
import { prepareCodec } from '@tidelog/protocol'
import { CommandFailure, defineCommand } from '../command.ts'
import {
  dumpOffsetIndex,
  dumpProducerSnapshot,
  dumpTimeIndex,
  dumpTransactionIndex,
  type IndexProblems,
  noProblems,
} from '../dump/dump-indexes.ts'
import { dumpSegment, type Gaps } from '../dump/dump-segment.ts'
import {
  decodeClusterMetadataRecord,
  decodeOffsetsRecord,
  decodeShareStateRecord,
  decodeTransactionRecord,
} from '../dump/record-decoders.ts'
import { SegmentFile } from '../dump/segment-file.ts'
import { flag, number, text } from '../option-table.ts'

/** kafka-dump-log, without its decoders of tiered storage and of the user's own classes. */
export const dumpLog = defineCommand({
  name: 'dump-log',
  summary: 'Prints the batches and records of segments, and checks indexes against them; no broker is asked.',
  options: {
    files: text('Files to print, separated by commas: .log, .index, .timeindex, .txnindex, .snapshot, .checkpoint.', {
      required: true,
      value: 'files',
    }),
    'deep-iteration': flag('Prints every record, not batches alone.'),
    'print-data-log': flag('Prints keys and values too, as text.'),
    'skip-record-metadata': flag('Of a record, prints nothing but key and value; no control records.'),
    'index-sanity-check': flag('Only checks that an index could be one.'),
    'verify-index-only': flag('Checks indexes against their segments without printing entries.'),
    'offsets-decoder': flag('Prints what the records of __consumer_offsets say.'),
    'transaction-log-decoder': flag('Prints what the records of __transaction_state say.'),
    'cluster-metadata-decoder': flag('Prints what the records of __cluster_metadata say, the metadata of a KRaft cluster.'),
    'share-group-state-decoder': flag('Prints what the records of __share_group_state say.'),
    'max-bytes': number('Prints batches up to this position of each segment.', { value: 'bytes' }),
  },
  async run(values, { stdout, stderr, interrupted }) {
    const decode = values['offsets-decoder']
      ? decodeOffsetsRecord
      : values['transaction-log-decoder']
        ? decodeTransactionRecord
        : values['cluster-metadata-decoder']
          ? decodeClusterMetadataRecord
          : values['share-group-state-decoder']
            ? decodeShareStateRecord
            : undefined
    const contents = values['print-data-log'] || decode !== undefined
    const segmentOptions = {
      deep: values['deep-iteration'] || contents,
      contents,
      decode,
      skipRecordMetadata: values['skip-record-metadata'],
      maxBytes: values['max-bytes'] ?? Number.MAX_SAFE_INTEGER,
    }
    const indexOptions = { sanityCheck: values['index-sanity-check'], verifyOnly: values['verify-index-only'] }
    await prepareCodec('zstd') // the others need no preparation
    const gaps = new Map<string, Gaps>()
    const problems = new Map<string, IndexProblems>()
    for (const path of (values.files as string).split(',')) {
      const lines = linesOf(path)
      stdout.write(`Dumping ${path}\n`)
      let pending = ''
      try {
        for (const line of lines) {
          pending += `${line}\n`
          if (pending.length < 65_536) continue
          interrupted.throwIfAborted()
          if (!stdout.write(pending)) await new Promise((resolve) => stdout.once('drain', resolve))
          pending = ''
        }
      } finally {
        stdout.write(pending)
      }
    }
    const wrong = (title: string, kind: keyof IndexProblems) =>
      sections(title, new Map([...problems].map(([path, found]) => [path, found[kind]])))
    wrong('Mismatches in :', 'mismatches')
    wrong('Found timestamp mismatch in :', 'timestampMismatches')
    wrong('Found out of order timestamp in :', 'outOfOrderTimestamps')
    wrong('The following indexed offsets are not found in :', 'offsetsNotFound')
    sections(
      'Non-consecutive offsets in ',
      new Map([...gaps].map(([path, pairs]) => [path, pairs.map(([offset, next]) => `  ${offset} is followed by ${next}`)])),
    )
    return 0

    function sections(title: string, linesByPath: ReadonlyMap<string, readonly string[]>): void {
      const paths = [...linesByPath].filter(([, lines]) => lines.length > 0).map(([path]) => path)
      // Kafka's tool calls computeIfAbsent, which puts a key ahead of those that share its bucket.
      for (const path of javaHashOrder(paths.toReversed())) stderr.write(`${[`${title}${path}`, ...linesByPath.get(path)!].join('\n')}\n`)
    }

    function linesOf(path: string): Iterable<string> {
      if (!existsSync(path)) throw new CommandFailure(`${path} does not exist`)
      const suffix = basename(path).slice(basename(path).lastIndexOf('.'))
      switch (suffix) {
        case '.log':
        case '.checkpoint':
          return withSegment(path, function* (segment) {
            gaps.set(absolute(path), yield* dumpSegment(segment, basename(path), segmentOptions))
          })
        case '.index':
        case '.timeindex': {
          const found = noProblems()
          problems.set(absolute(path), found)
          const log = `${path.slice(0, -suffix.length)}.log`
          const dump = suffix === '.index' ? dumpOffsetIndex : dumpTimeIndex
          if (!existsSync(log)) return dump(path, undefined, indexOptions, found)
          return withSegment(log, (segment) => dump(path, segment, indexOptions, found))
        }
        case '.txnindex':
          return dumpTransactionIndex(path)
        case '.snapshot':
          return dumpProducerSnapshot(path)
        default:
          stderr.write(`Ignoring unknown file ${path}\n`)
          return []
      }
    }
  },
})

/** As Java's File.getAbsolutePath, which leaves `.` and `..` as they are. */
const absolute = (path: string): string => (isAbsolute(path) ? path : `${process.cwd()}/${path}`)

function* withSegment(
  path: string,
  dump: (segment: SegmentFile) => Generator<string, void, undefined>,
): Generator<string, void, undefined> {
  const segment = new SegmentFile(path)
  try {
    yield* dump(segment)
  } finally {
    segment.close()
  }
}
