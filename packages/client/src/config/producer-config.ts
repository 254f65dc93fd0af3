import { boolean, type ConfigOf, type ConfigTable, int, long, string } from '@tidelog/core'
import { ClientConfig, commonRows, type OptionsOf, SOCKET } from './client-config.ts'

const BY_OPTION = 'given as a function in the options, or through fromProperties()'

export const producerRows = {
  ...commonRows,
  acks: string({
    default: 'all',
    of: ['all', '-1', '0', '1'],
    importance: 'low',
    doc: '0: do not wait for an answer; 1: the leader has appended; all: every in-sync replica has appended.',
  }),
  'batch.size': int({ default: 16_384, min: 0, unit: 'bytes', importance: 'medium', doc: 'A batch of this size is full.' }),
  'buffer.memory': long({
    default: 33_554_432,
    min: 0,
    unit: 'bytes',
    importance: 'high',
    doc: 'Bound of all records that are not yet acknowledged.',
  }),
  'compression.type': string({
    default: 'none',
    of: ['none', 'gzip', 'snappy', 'lz4', 'zstd'],
    importance: 'high',
    doc: 'How batches are compressed.',
  }),
  'compression.gzip.level': int({
    default: -1,
    min: 1,
    max: 9,
    also: -1,
    importance: 'medium',
    doc: 'Level of gzip, from 1 (fast) to 9 (small). -1 leaves it to the codec.',
  }),
  'compression.lz4.level': int({
    default: 9,
    min: 1,
    max: 17,
    importance: 'medium',
    doc: 'Level of lz4. 9 is the fast compressor; the others search, the longer the higher, and their output is smaller.',
  }),
  'compression.zstd.level': int({ default: 3, min: -131_072, max: 22, importance: 'medium', doc: 'Level of zstd.' }),
  'delivery.timeout.ms': int({
    default: 120_000,
    min: 0,
    unit: 'ms',
    importance: 'medium',
    doc: 'A record is delivered or has failed within this time, retries included; a request that is under way by then is waited for, for up to request.timeout.ms.',
  }),
  'enable.idempotence': boolean({
    default: true,
    importance: 'low',
    doc: 'A record is appended once, and in order, however often it is sent.',
  }),
  'linger.ms': long({
    default: 5,
    min: 0,
    unit: 'ms',
    importance: 'medium',
    doc: 'How long a batch waits for more records while another batch of its partition is under way; without one it leaves at once.',
  }),
  'max.block.ms': long({
    default: 60_000,
    min: 0,
    unit: 'ms',
    importance: 'medium',
    doc: 'How long send() waits for metadata and for buffer memory.',
  }),
  'max.in.flight.requests.per.connection': int({ default: 5, min: 1, importance: 'low', doc: 'Requests without answer per broker.' }),
  'max.request.size': int({ default: 1_048_576, min: 0, unit: 'bytes', importance: 'medium', doc: 'Largest record, and largest request.' }),
  'metadata.max.idle.ms': long({
    default: 300_000,
    min: 5000,
    unit: 'ms',
    importance: 'low',
    doc: 'A topic that nobody sends to for this long is forgotten.',
  }),
  'partitioner.adaptive.partitioning.enable': boolean({
    default: true,
    importance: 'low',
    doc: 'Records without key go rather to partitions with a shorter queue.',
  }),
  'partitioner.availability.timeout.ms': long({
    default: 0,
    min: 0,
    unit: 'ms',
    importance: 'low',
    doc: 'With adaptive partitioning, partitions whose broker took nothing for this long get no records without key. 0: they do.',
  }),
  'partitioner.ignore.keys': boolean({ default: false, importance: 'medium', doc: 'Keys do not decide the partition.' }),
  'partitioner.class': string({
    default: null,
    importance: 'medium',
    unused: 'the option partitioner is a function; fromProperties() knows RoundRobinPartitioner',
    doc: 'The partitioner.',
  }),
  'key.serializer': string({ default: null, importance: 'high', unused: BY_OPTION, doc: 'Serializer of keys.' }),
  'value.serializer': string({ default: null, importance: 'high', unused: BY_OPTION, doc: 'Serializer of values.' }),
  // Smaller than the other clients': answers to a producer are short.
  'receive.buffer.bytes': int({
    default: 32_768,
    min: -1,
    importance: 'medium',
    unused: SOCKET,
    doc: 'SO_RCVBUF.',
  }),
  retries: int({ default: 2_147_483_647, min: 0, max: 2_147_483_647, importance: 'high', doc: 'How often a failed batch is sent again.' }),
  'transaction.timeout.ms': int({
    default: 60_000,
    unit: 'ms',
    importance: 'low',
    doc: 'A transaction that is open for longer is aborted by its coordinator, and its producer is fenced.',
  }),
  'transaction.two.phase.commit.enable': boolean({
    default: false,
    importance: 'low',
    doc: 'Transactions that no timeout aborts, for an outside coordinator (KIP-939). true is refused: Kafka 4.3 has not finished it, its own producer takes the option without effect.',
  }),
  'transactional.id': string({
    default: null,
    check: (text) => (text === '' ? 'String must be non-empty' : undefined),
    valid: 'non-empty string',
    importance: 'low',
    doc: 'Makes the producer transactional; the same id over restarts fences the instance before.',
  }),
} as const

export const producerConfig = new ClientConfig(producerRows)
export type ProducerConfig = ConfigOf<ConfigTable<typeof producerRows>>
export type ProducerConfigOptions = OptionsOf<typeof producerRows>

/** Numbers of acks as the wire has them. */
export const requiredAcks = (acks: ProducerConfig['acks']): number => (acks === 'all' ? -1 : Number(acks))
