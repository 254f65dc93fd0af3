import { boolean, ConfigError, type ConfigOf, type ConfigRow, ConfigTable, int, list, long, type Password, string } from '@tidelog/core'
import { InvalidOptionError } from '../errors.ts'
import { securityRows } from './security-rows.ts'

const JVM = 'only a JVM gives it a meaning'
export const SOCKET = 'Node sizes socket buffers itself'

/** Rows that Producer, Consumer and Admin share. Names, types and defaults are Kafka's 4.3. */
export const commonRows = {
  'bootstrap.servers': list({
    default: [],
    importance: 'high',
    doc: 'host:port of some brokers; the others are found through them.',
  }),
  'client.id': string({ default: '', importance: 'medium', doc: 'Named in every request; brokers log it and count quotas by it.' }),
  'connections.max.idle.ms': long({
    default: 540_000,
    unit: 'ms',
    importance: 'medium',
    doc: 'A connection unused for this long is closed.',
  }),
  'metadata.max.age.ms': long({
    default: 300_000,
    min: 0,
    unit: 'ms',
    importance: 'low',
    doc: 'Metadata is fetched again after this time even if nothing seems to have changed.',
  }),
  'metadata.recovery.strategy': string({
    default: 'rebootstrap',
    of: ['rebootstrap', 'none'],
    ignoreCase: true,
    importance: 'low',
    doc: 'rebootstrap goes back to bootstrap.servers when no known broker can be reached.',
  }),
  'metadata.recovery.rebootstrap.trigger.ms': long({
    default: 300_000,
    min: 0,
    unit: 'ms',
    importance: 'low',
    doc: 'With metadata.recovery.strategy=rebootstrap: known brokers that have given no metadata for this long are forgotten.',
  }),
  'reconnect.backoff.ms': long({ default: 50, min: 0, unit: 'ms', importance: 'low', doc: 'Wait before the first reconnect to a broker.' }),
  'reconnect.backoff.max.ms': long({
    default: 1000,
    min: 0,
    unit: 'ms',
    importance: 'low',
    doc: 'Longest wait between reconnects to a broker.',
  }),
  'request.timeout.ms': int({
    default: 30_000,
    min: 0,
    unit: 'ms',
    importance: 'medium',
    doc: 'A request without answer for this long has failed.',
  }),
  'retry.backoff.ms': long({
    default: 100,
    min: 0,
    unit: 'ms',
    importance: 'low',
    doc: 'Wait before the first retry; doubles with each further one.',
  }),
  'retry.backoff.max.ms': long({ default: 1000, min: 0, unit: 'ms', importance: 'low', doc: 'Longest wait between retries.' }),
  ...securityRows,
  'socket.connection.setup.timeout.ms': long({
    default: 10_000,
    unit: 'ms',
    importance: 'medium',
    doc: 'A connect that takes longer, TLS included, has failed. Doubles, give or take 20 %, with each failure in a row.',
  }),
  'socket.connection.setup.timeout.max.ms': long({
    default: 30_000,
    unit: 'ms',
    importance: 'medium',
    doc: 'Longest connect timeout after several failures.',
  }),
  'client.dns.lookup': string({
    default: 'use_all_dns_ips',
    of: ['use_all_dns_ips', 'resolve_canonical_bootstrap_servers_only'],
    importance: 'medium',
    doc: 'All addresses of a name are tried in turn. resolve_canonical_bootstrap_servers_only: bootstrap names are replaced by the names of their addresses.',
  }),
  'config.providers': list({ default: [], importance: 'low', unused: JVM, doc: 'Classes that look values up elsewhere.' }),
  'enable.metrics.push': boolean({
    default: true,
    importance: 'low',
    doc: 'Metrics are pushed to brokers that have subscribed to some (KIP-714); nothing is, and no broker asked, where brokers do not say that they take them.',
  }),
  'interceptor.classes': list({
    default: [],
    importance: 'low',
    unused: 'classes of a JVM; the option interceptors takes objects',
    doc: 'Classes that see records pass by.',
  }),
  'metric.reporters': list({ default: [], importance: 'low', unused: JVM, doc: 'Classes that publish metrics.' }),
  'metrics.num.samples': int({
    default: 2,
    min: 1,
    importance: 'low',
    unused: "rates go by Kafka's default of two windows",
    doc: 'Samples kept.',
  }),
  'metrics.recording.level': string({
    default: 'INFO',
    importance: 'low',
    unused: 'all metrics are cheap',
    doc: 'Highest level recorded.',
  }),
  'metrics.sample.window.ms': long({
    default: 30_000,
    importance: 'low',
    unused: "rates go by Kafka's default of 30 s",
    doc: 'Window.',
  }),
  'receive.buffer.bytes': int({ default: 65_536, min: -1, importance: 'medium', unused: SOCKET, doc: 'SO_RCVBUF.' }),
  'send.buffer.bytes': int({ default: 131_072, min: -1, importance: 'medium', unused: SOCKET, doc: 'SO_SNDBUF.' }),
} as const

type Rows = Readonly<Record<string, ConfigRow>>

/** `retry.backoff.ms` as an option of ours: `retryBackoffMs`. */
type Camel<S extends string> = S extends `${infer Head}.${infer Tail}` ? `${Head}${Capitalize<Camel<Tail>>}` : S
/** A list may be given as an array or as Kafka's comma-separated text; a secret is a text that nothing prints. */
type Accepted<T> = T extends readonly string[] ? readonly string[] | string : T extends Password ? string : T
/** What users write for a table: camelCase names, everything optional. */
export type OptionsOf<R extends Rows> = {
  readonly [K in keyof ConfigOf<ConfigTable<R>> & string as Camel<K>]?: Accepted<ConfigOf<ConfigTable<R>>[K]> | undefined
}

export const camelOf = (kafkaName: string): string => kafkaName.replace(/\.([a-z])/g, (_, letter: string) => letter.toUpperCase())

/** A client's table: resolves camelCase options, and reads Kafka's dotted names. */
export class ClientConfig<const R extends Rows> {
  readonly table: ConfigTable<R>
  /** Kafka name by option name. */
  readonly #kafkaNames = new Map<string, string>()

  constructor(rows: R) {
    this.table = new ConfigTable(rows)
    for (const name of this.table.names) this.#kafkaNames.set(camelOf(name), name)
  }

  /** Is it the camelCase name of a row? */
  has(option: string): boolean {
    return this.#kafkaNames.has(option)
  }

  /**
   * All values by Kafka's name.
   * @throws InvalidOptionError that names an invalid option.
   */
  resolve(options: object): ConfigOf<ConfigTable<R>> {
    const texts = new Map<string, string>()
    for (const [option, kafkaName] of this.#kafkaNames) {
      const value = (options as Readonly<Record<string, unknown>>)[option]
      if (value !== undefined && value !== null) texts.set(kafkaName, Array.isArray(value) ? value.join(',') : String(value))
    }
    try {
      return this.table.resolve((name) => texts.get(name))
    } catch (error) {
      if (error instanceof ConfigError) throw new InvalidOptionError(`${camelOf(error.configName)}: ${error.message}`, error)
      throw error
    }
  }

  /** The option's name for Kafka's, undefined for an unknown one. */
  optionOf(kafkaName: string): string | undefined {
    return this.table.row(kafkaName) === undefined ? undefined : camelOf(kafkaName)
  }
}

export type CommonConfig = ConfigOf<ConfigTable<typeof commonRows>>
