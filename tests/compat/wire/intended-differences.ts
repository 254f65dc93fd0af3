/** Where our answers are not Kafka's on purpose. docs/decisions/differences-from-kafka.md gives the reasons, under the same names. */
import type { Difference } from './normal-form.ts'

export interface Intended {
  /** Its row in the document. */
  readonly name: string
  readonly covers: (difference: Difference) => boolean
}

const errorCodes = ({ kafka, ours }: Difference, kafkas: number, our: number): boolean => kafka === kafkas && ours === our

const startsWith = (longer: unknown, shorter: unknown): boolean =>
  Array.isArray(longer) && Array.isArray(shorter) && JSON.stringify(longer.slice(0, shorter.length)) === JSON.stringify(shorter)

/** Broken bytes that Kafka stores, and only readers notice. */
const storedByKafka =
  /^broken-(records-(none: (offset delta|same offset|offsets backward)|gzip: (length (?!beyond)|offset delta|same offset|offsets backward))|batches: gzip stream with bytes behind)/

export const intendedDifferences: readonly Intended[] = [
  {
    name: 'error messages',
    covers: ({ path, kafka, ours }) =>
      path.endsWith('rrorMessage') &&
      typeof ours === 'string' &&
      (kafka === null || kafka === 'This server does not host this topic-partition.'),
  },
  {
    name: 'refused times',
    covers: ({ label, path }) =>
      /rrorMessage$/.test(path) && /^(default-times: \w+, in 90 min|LogAppendTime set by a producer)$/.test(label),
  },
  {
    name: 'broken bytes',
    covers: (difference) =>
      /^(broken|message-sets)/.test(difference.label) && difference.path.endsWith('errorCode') && errorCodes(difference, -1, 87),
  },
  { name: 'broken bytes that Kafka stores', covers: ({ label }) => storedByKafka.test(label) },
  {
    name: 'values that mean nothing',
    covers: (difference) => {
      const { label, path } = difference
      if (path.endsWith('errorCode') && errorCodes(difference, -1, 42)) return true
      return /^Fetch \d+: isolation (2|-1)$/.test(label) && /responses$|abortedTransactions$/.test(path)
    },
  },
  { name: 'negative sizes', covers: ({ label }) => /^Fetch \d+: (partition )?max bytes -1$/.test(label) },
  {
    name: 'named twice',
    covers: ({ label }) =>
      /^Produce \d+: (a (partition|topic|topic and partition) twice|stored of what came twice)$/.test(label) ||
      /^Fetch \d+: a partition twice$/.test(label) ||
      /^DeleteRecords \d+: twice$/.test(label),
  },
  { name: 'zstd for old consumers', covers: ({ label }) => /^Fetch [4-9]: compression.type zstd$/.test(label) },
  {
    name: 'whole batches',
    covers: ({ label, path, kafka, ours }) =>
      path.endsWith('records') &&
      (/^Fetch \d+: max bytes 200$/.test(label) || /^Fetch [0-3](, converted|: partition max bytes)/.test(label)) &&
      startsWith(ours, kafka),
  },
  {
    name: 'a topic made anew',
    covers: ({ label, path }) => label.startsWith('old id: session') && /errorCode$|abortedTransactions$/.test(path),
  },
  {
    name: 'the latest time of records without one',
    covers: ({ label, path }) => /^ListOffsets \d+: timestamp -3$/.test(label) && /\[2\]\.(offset|leaderEpoch)$/.test(path),
  },
  { name: 'hints at a new leader', covers: ({ path }) => /currentLeader\.|^nodeEndpoints/.test(path) },
  {
    name: 'min.insync.replicas',
    covers: (difference) =>
      /^CreateTopics/.test(difference.label) && difference.path.endsWith('configSource') && errorCodes(difference, 3, 5),
  },
  {
    name: 'CreateTopics without enough brokers',
    covers: ({ label, path }) => /^CreateTopics [01]: replication factor 3$/.test(label) && path.endsWith('errorMessage'),
  },
]
