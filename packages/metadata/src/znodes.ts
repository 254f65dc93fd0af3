/**
 * Where cluster state lies in the store and how it is written: the paths and JSON of Kafka 3.9 in ZooKeeper mode.
 * Source: kafka.zk.ZkData of Kafka 3.9; docs of the ZooKeeper data structures, KIP-516 (topic ids), KIP-584 (features).
 */

export const BROKER_IDS = '/brokers/ids'
export const TOPICS = '/brokers/topics'
export const CONTROLLER = '/controller'
export const CONTROLLER_EPOCH = '/controller_epoch'
export const CONFIG_CHANGES = '/config/changes'
export const DELETE_TOPICS = '/admin/delete_topics'
export const CLUSTER_ID = '/cluster/id'
export const PRODUCER_ID_BLOCK = '/latest_producer_id_block'
export const FEATURE = '/feature'
export const LOG_DIR_EVENTS = '/log_dir_event_notification'

/** Nodes that are there, empty, before anything else, parents first. */
export const PERSISTENT_PATHS: readonly string[] = [
  '/consumers',
  '/brokers',
  BROKER_IDS,
  TOPICS,
  '/brokers/seqid',
  '/config',
  CONFIG_CHANGES,
  '/config/topics',
  '/config/clients',
  '/config/users',
  '/config/brokers',
  '/config/ips',
  '/config/groups',
  '/admin',
  DELETE_TOPICS,
  '/isr_change_notification',
  '/latest_producer_id_block',
  LOG_DIR_EVENTS,
  '/cluster',
]

/** Kinds of things that have dynamic configurations. */
export type ConfigEntityType = 'topics' | 'brokers' | 'clients' | 'users' | 'ips' | 'groups'
/** The name under which the defaults of a kind are kept, as brokers' cluster-wide defaults. */
export const DEFAULT_ENTITY = '<default>'

export const brokerIdPath = (brokerId: number) => `${BROKER_IDS}/${brokerId}`
export const topicPath = (topic: string) => `${TOPICS}/${topic}`
export const partitionsPath = (topic: string) => `${TOPICS}/${topic}/partitions`
export const partitionPath = (topic: string, partition: number) => `${TOPICS}/${topic}/partitions/${partition}`
export const partitionStatePath = (topic: string, partition: number) => `${TOPICS}/${topic}/partitions/${partition}/state`
export const configTypePath = (type: ConfigEntityType) => `/config/${type}`
export const configPath = (type: ConfigEntityType, name: string) => `/config/${type}/${name}`
export const deleteTopicPath = (topic: string) => `${DELETE_TOPICS}/${topic}`
/** Sequential: the store appends the number. KIP-112. */
export const LOG_DIR_EVENT_PREFIX = `${LOG_DIR_EVENTS}/log_dir_event_`
/** Sequential: the store appends the number. */
export const CONFIG_CHANGE_PREFIX = `${CONFIG_CHANGES}/config_change_`

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))

/** What stands in a node is not what belongs there; the message names the node. */
export class BadNodeError extends Error {
  override readonly name = 'BadNodeError'
}

/** The node's JSON object. Its values are checked by those who take them out. */
function object(path: string, data: Buffer): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(data.toString())
  } catch {
    throw new BadNodeError(`${path} does not hold JSON`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new BadNodeError(`${path} does not hold a JSON object`)
  return value as Record<string, unknown>
}

function integer(path: string, name: string, value: unknown): number {
  if (!Number.isSafeInteger(value)) throw new BadNodeError(`${path}: ${name} is not an integer`)
  return value as number
}

function text(path: string, name: string, value: unknown): string {
  if (typeof value !== 'string') throw new BadNodeError(`${path}: ${name} is not a string`)
  return value
}

function integers(path: string, name: string, value: unknown): number[] {
  if (!Array.isArray(value)) throw new BadNodeError(`${path}: ${name} is not a list`)
  return value.map((item) => integer(path, name, item))
}

function entries(path: string, name: string, value: unknown): [string, unknown][] {
  if (typeof value !== 'object' || value === null) throw new BadNodeError(`${path}: ${name} is not an object`)
  return Object.entries(value)
}

export type SecurityProtocol = 'PLAINTEXT' | 'SSL' | 'SASL_PLAINTEXT' | 'SASL_SSL'
/** Codes on the wire. Source: org.apache.kafka.common.security.auth.SecurityProtocol. */
export const SECURITY_PROTOCOL_CODES: Readonly<Record<SecurityProtocol, number>> = { PLAINTEXT: 0, SSL: 1, SASL_PLAINTEXT: 2, SASL_SSL: 3 }

/** Where clients reach a broker, by the name of the listener they came in on. */
export interface Endpoint {
  readonly listener: string
  readonly host: string
  readonly port: number
  readonly securityProtocol: SecurityProtocol
}

export interface BrokerRegistration {
  readonly id: number
  readonly endpoints: readonly Endpoint[]
  readonly rack: string | null
  /** Ranges of feature levels this broker can serve, by feature. Source: KIP-584. */
  readonly features: ReadonlyMap<string, { readonly minVersion: number; readonly maxVersion: number }>
  /** Every log dir of the broker is cordoned: it gets no further partitions. KIP-1066; a field of our own, which Kafka passes over. */
  readonly isCordoned: boolean
}

/** Version 5. The host and port of the first plaintext listener stand on top, for old clients. */
export function encodeBroker({ endpoints, rack, features, isCordoned }: BrokerRegistration, nowMs: number): Buffer {
  const plaintext = endpoints.find(({ securityProtocol }) => securityProtocol === 'PLAINTEXT')
  return json({
    version: 5,
    host: plaintext?.host ?? null,
    port: plaintext?.port ?? -1,
    jmx_port: -1,
    timestamp: String(nowMs),
    endpoints: endpoints.map(({ listener, host, port }) => `${listener}://${host.includes(':') ? `[${host}]` : host}:${port}`),
    ...(rack === null ? {} : { rack }),
    features: Object.fromEntries(
      [...features].map(([name, { minVersion, maxVersion }]) => [name, { min_version: minVersion, max_version: maxVersion }]),
    ),
    listener_security_protocol_map: Object.fromEntries(endpoints.map(({ listener, securityProtocol }) => [listener, securityProtocol])),
    ...(isCordoned ? { cordoned: true } : {}),
  })
}

export function decodeBroker(id: number, data: Buffer): BrokerRegistration {
  const path = brokerIdPath(id)
  const node = object(path, data)
  const protocols = new Map(entries(path, 'listener_security_protocol_map', node.listener_security_protocol_map ?? {}))
  const endpoints = (Array.isArray(node.endpoints) ? node.endpoints : []).map((endpoint): Endpoint => {
    const match = /^(.*):\/\/\[?(.*?)\]?:(-?\d+)$/.exec(text(path, 'endpoints', endpoint))
    if (match === null) throw new BadNodeError(`${path}: endpoint ${endpoint} is not LISTENER://HOST:PORT`)
    const [, listener, host, port] = match as unknown as [string, string, string, string]
    const securityProtocol = protocols.get(listener) ?? listener
    if (typeof securityProtocol !== 'string' || !Object.hasOwn(SECURITY_PROTOCOL_CODES, securityProtocol)) {
      throw new BadNodeError(`${path}: listener ${listener} has no known security protocol`)
    }
    return { listener, host, port: Number(port), securityProtocol: securityProtocol as SecurityProtocol }
  })
  const features = entries(path, 'features', node.features ?? {}).map(([name, range]) => {
    const levels = new Map(entries(path, 'features', range))
    return [
      name,
      {
        minVersion: integer(path, 'min_version', levels.get('min_version')),
        maxVersion: integer(path, 'max_version', levels.get('max_version')),
      },
    ] as const
  })
  const rack = node.rack == null ? null : text(path, 'rack', node.rack)
  return { id, endpoints, rack, features: new Map(features), isCordoned: node.cordoned === true }
}

export interface PartitionAssignment {
  readonly replicas: readonly number[]
  /** Of `replicas`, those that a reassignment adds, and those that it takes away. */
  readonly addingReplicas: readonly number[]
  readonly removingReplicas: readonly number[]
}

export interface TopicAssignment {
  readonly topicId: string | undefined
  /** By partition, from 0 on without gaps when we wrote it. */
  readonly partitions: ReadonlyMap<number, PartitionAssignment>
}

/** Version 3. */
export function encodeTopic(topicId: string, partitions: ReadonlyMap<number, PartitionAssignment>): Buffer {
  const of = (list: (assignment: PartitionAssignment) => readonly number[], all: boolean) =>
    Object.fromEntries(
      [...partitions]
        .map(([index, assignment]) => [String(index), list(assignment)] as const)
        .filter(([, replicas]) => all || replicas.length > 0),
    )
  return json({
    partitions: of(({ replicas }) => replicas, true),
    topic_id: topicId,
    adding_replicas: of(({ addingReplicas }) => addingReplicas, false),
    removing_replicas: of(({ removingReplicas }) => removingReplicas, false),
    version: 3,
  })
}

export function decodeTopic(topic: string, data: Buffer): TopicAssignment {
  const path = topicPath(topic)
  const node = object(path, data)
  const adding = new Map(entries(path, 'adding_replicas', node.adding_replicas ?? {}))
  const removing = new Map(entries(path, 'removing_replicas', node.removing_replicas ?? {}))
  const partitions = entries(path, 'partitions', node.partitions ?? {}).map(([index, replicas]) => {
    const assignment: PartitionAssignment = {
      replicas: integers(path, 'partitions', replicas),
      addingReplicas: integers(path, 'adding_replicas', adding.get(index) ?? []),
      removingReplicas: integers(path, 'removing_replicas', removing.get(index) ?? []),
    }
    return [integer(path, 'partition', Number(index)), assignment] as const
  })
  return {
    topicId: node.topic_id === undefined ? undefined : text(path, 'topic_id', node.topic_id),
    partitions: new Map(partitions.sort(([a], [b]) => a - b)),
  }
}

export interface LeaderAndIsrState {
  /** −1 when there is none. */
  readonly leader: number
  readonly leaderEpoch: number
  readonly isr: readonly number[]
  readonly controllerEpoch: number
}

/** Version 1. */
export function encodePartitionState({ leader, leaderEpoch, isr, controllerEpoch }: LeaderAndIsrState): Buffer {
  return json({ controller_epoch: controllerEpoch, leader, version: 1, leader_epoch: leaderEpoch, isr })
}

export function decodePartitionState(topic: string, partition: number, data: Buffer): LeaderAndIsrState {
  const path = partitionStatePath(topic, partition)
  const node = object(path, data)
  return {
    leader: integer(path, 'leader', node.leader),
    leaderEpoch: integer(path, 'leader_epoch', node.leader_epoch),
    isr: integers(path, 'isr', node.isr),
    controllerEpoch: integer(path, 'controller_epoch', node.controller_epoch),
  }
}

/** Version 2. */
export function encodeController(brokerId: number, nowMs: number): Buffer {
  return json({ version: 2, brokerid: brokerId, timestamp: String(nowMs), kraftControllerEpoch: -1 })
}

/** The controller's broker id. */
export function decodeController(data: Buffer): number {
  return integer(CONTROLLER, 'brokerid', object(CONTROLLER, data).brokerid)
}

export const encodeControllerEpoch = (epoch: number): Buffer => Buffer.from(String(epoch))

export function decodeControllerEpoch(data: Buffer): number {
  return integer(CONTROLLER_EPOCH, 'the epoch', data.length === 0 ? undefined : Number(data.toString()))
}

export function encodeConfigs(configs: ReadonlyMap<string, string>): Buffer {
  return json({ version: 1, config: Object.fromEntries(configs) })
}

export function decodeConfigs(path: string, data: Buffer): Map<string, string> {
  if (data.length === 0) return new Map()
  return new Map(entries(path, 'config', object(path, data).config ?? {}).map(([name, value]) => [name, text(path, name, value)]))
}

/** Version 2. */
export function encodeConfigChange(type: ConfigEntityType, name: string): Buffer {
  return json({ version: 2, entity_path: `${type}/${name}` })
}

export function decodeConfigChange(path: string, data: Buffer): { type: string; name: string } {
  const entityPath = text(path, 'entity_path', object(path, data).entity_path)
  const slash = entityPath.indexOf('/')
  return { type: entityPath.slice(0, slash), name: entityPath.slice(slash + 1) }
}

/** What log dir events tell of; Kafka knows this one only. */
const LOG_DIR_FAILURE = 1

/** Version 1. */
export function encodeLogDirFailure(brokerId: number): Buffer {
  return json({ version: 1, broker: brokerId, event: LOG_DIR_FAILURE })
}

/** The broker whose log dir has failed. */
export function decodeLogDirFailure(path: string, data: Buffer): number {
  return integer(path, 'broker', object(path, data).broker)
}

export function encodeClusterId(clusterId: string): Buffer {
  return json({ version: '1', id: clusterId })
}

export function decodeClusterId(data: Buffer): string {
  return text(CLUSTER_ID, 'id', object(CLUSTER_ID, data).id)
}

/** Producer ids that a broker may give out, both ends inclusive. */
export interface ProducerIdBlock {
  readonly brokerId: number
  readonly first: number
  readonly last: number
}

/** Version 1; the ids are strings. */
export function encodeProducerIdBlock({ brokerId, first, last }: ProducerIdBlock): Buffer {
  return json({ version: 1, broker: brokerId, block_start: String(first), block_end: String(last) })
}

export function decodeProducerIdBlock(data: Buffer): ProducerIdBlock {
  const node = object(PRODUCER_ID_BLOCK, data)
  return {
    brokerId: integer(PRODUCER_ID_BLOCK, 'broker', node.broker),
    first: integer(PRODUCER_ID_BLOCK, 'block_start', Number(text(PRODUCER_ID_BLOCK, 'block_start', node.block_start))),
    last: integer(PRODUCER_ID_BLOCK, 'block_end', Number(text(PRODUCER_ID_BLOCK, 'block_end', node.block_end))),
  }
}

/** Version 2, enabled. @param features Finalized level by feature. */
export function encodeFeatures(features: ReadonlyMap<string, number>): Buffer {
  return json({
    version: 2,
    status: 1,
    features: Object.fromEntries([...features].map(([name, level]) => [name, { max_version_level: level }])),
  })
}

/** Finalized level by feature, of version 1 (which has a minimum too) or 2. Empty when feature versioning is disabled. */
export function decodeFeatures(data: Buffer): Map<string, number> {
  const node = object(FEATURE, data)
  if (node.version !== 1 && node.version !== 2) throw new BadNodeError(`${FEATURE}: version ${String(node.version)} is not known`)
  if (integer(FEATURE, 'status', node.status) === 0) return new Map()
  return new Map(
    entries(FEATURE, 'features', node.features).map(([name, level]) => {
      const levels = new Map(entries(FEATURE, name, level))
      const finalized = integer(FEATURE, `${name}'s max_version_level`, levels.get('max_version_level'))
      if (finalized < 1) throw new BadNodeError(`${FEATURE}: ${name}'s max_version_level is below 1`)
      return [name, finalized]
    }),
  )
}
