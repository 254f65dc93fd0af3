import { decodeMetadataRecord, type MetadataRecord, type MetadataRecordFields } from '@tidelog/protocol'

export interface KraftPartition {
  readonly replicas: readonly number[]
  /** Empty once the last one has stopped, where eligible leader replicas are kept. KIP-966. */
  readonly isr: readonly number[]
  readonly eligibleLeaderReplicas: readonly number[]
  readonly leaderEpoch: number
}

export interface KraftTopic {
  readonly name: string
  readonly topicId: string
  /** By index; without gaps when Kafka wrote it. */
  readonly partitions: Map<number, KraftPartition>
}

export type ScramCredential = MetadataRecordFields<'UserScramCredential'>
export type AccessControlEntry = MetadataRecordFields<'AccessControlEntry'>
export type DelegationToken = MetadataRecordFields<'DelegationToken'>
export type QuotaEntity = MetadataRecordFields<'ClientQuota'>['entity']

export interface EntityQuotas {
  readonly entity: QuotaEntity
  readonly quotas: Map<string, number>
}

export interface ConfiguredResource {
  /** As ConfigResource.Type on the wire. */
  readonly type: number
  readonly name: string
  readonly configs: Map<string, string>
}

/** The resource type of topics in a ConfigRecord. Source: ConfigResource.Type. */
export const TOPIC_RESOURCE = 2

/** A list of parts as one key of a Map; the parts may hold any character. */
const keyOf = (...parts: readonly (string | number | null)[]): string => JSON.stringify(parts)
const entityKey = (entity: QuotaEntity): string =>
  keyOf(
    ...[...entity].sort((a, b) => (a.entityType < b.entityType ? -1 : 1)).flatMap(({ entityType, entityName }) => [entityType, entityName]),
  )

/**
 * What a KRaft cluster knows, rebuilt by applying its metadata records in order. Records between BeginTransaction and EndTransaction count once
 * EndTransaction has come; at the log's end an open transaction never was, as for a controller that takes over. KIP-868.
 */
export class KraftState {
  /** By id. */
  readonly topics = new Map<string, KraftTopic>()
  readonly #resources = new Map<string, ConfiguredResource>()
  readonly #credentials = new Map<string, ScramCredential>()
  /** By id. */
  readonly #acls = new Map<string, AccessControlEntry>()
  readonly #quotas = new Map<string, EntityQuotas>()
  readonly #tokens = new Map<string, DelegationToken>()
  readonly #features = new Map<string, number>()
  readonly #brokers = new Set<number>()
  #nextProducerId = 0
  #transaction: MetadataRecord[] | undefined

  /** Dynamic configurations of topics, brokers, groups, client metrics. */
  get resources(): Iterable<ConfiguredResource> {
    return this.#resources.values()
  }
  get credentials(): Iterable<ScramCredential> {
    return this.#credentials.values()
  }
  get acls(): Iterable<AccessControlEntry> {
    return this.#acls.values()
  }
  get quotas(): Iterable<EntityQuotas> {
    return this.#quotas.values()
  }
  get tokens(): Iterable<DelegationToken> {
    return this.#tokens.values()
  }
  /** Finalized level by feature. */
  get features(): ReadonlyMap<string, number> {
    return this.#features
  }
  /** Ids of registered brokers, in order. */
  get brokers(): readonly number[] {
    return [...this.#brokers].sort((a, b) => a - b)
  }
  /** The first producer id that no block holds. */
  get nextProducerId(): number {
    return this.#nextProducerId
  }

  /** A topic's overrides; empty when it has none. */
  topicConfigs(name: string): ReadonlyMap<string, string> {
    return this.#resources.get(keyOf(TOPIC_RESOURCE, name))?.configs ?? new Map()
  }

  /** Applies the value of one metadata record. @throws Error that says what is wrong with it; the state is of no use then */
  apply(value: Buffer): void {
    const record = decodeMetadataRecord(value)
    switch (record.name) {
      case 'BeginTransaction':
        if (this.#transaction !== undefined) throw new Error('a metadata transaction begins within another')
        this.#transaction = []
        return
      case 'EndTransaction':
      case 'AbortTransaction': {
        const records = this.#transaction
        if (records === undefined) throw new Error('a metadata transaction ends that has not begun')
        this.#transaction = undefined
        if (record.name === 'EndTransaction') for (const each of records) this.#replay(each)
        return
      }
      default:
        if (this.#transaction === undefined) this.#replay(record)
        else this.#transaction.push(detached(record))
    }
  }

  #replay(record: MetadataRecord): void {
    switch (record.name) {
      case 'Topic': {
        const { name, topicId } = record.fields
        this.topics.set(topicId, { name, topicId, partitions: new Map() })
        return
      }
      case 'RemoveTopic': {
        const { name } = this.#topic(record.fields.topicId)
        this.topics.delete(record.fields.topicId)
        this.#resources.delete(keyOf(TOPIC_RESOURCE, name))
        return
      }
      case 'Partition': {
        const { topicId, partitionId, replicas, isr, leaderEpoch, eligibleLeaderReplicas } = record.fields
        const partition = { replicas, isr, leaderEpoch, eligibleLeaderReplicas: eligibleLeaderReplicas ?? [] }
        this.#topic(topicId).partitions.set(partitionId, partition)
        return
      }
      case 'PartitionChange':
        this.#changePartition(record.fields)
        return
      case 'Config':
        this.#configure(record.fields)
        return
      case 'UserScramCredential':
        this.#credentials.set(keyOf(record.fields.name, record.fields.mechanism), detachedCredential(record.fields))
        return
      case 'RemoveUserScramCredential':
        this.#credentials.delete(keyOf(record.fields.name, record.fields.mechanism))
        return
      case 'AccessControlEntry':
        this.#acls.set(record.fields.id, record.fields)
        return
      case 'RemoveAccessControlEntry':
        this.#acls.delete(record.fields.id)
        return
      case 'ClientQuota':
        this.#setQuota(record.fields)
        return
      case 'DelegationToken':
        this.#tokens.set(record.fields.tokenId, record.fields)
        return
      case 'RemoveDelegationToken':
        this.#tokens.delete(record.fields.tokenId)
        return
      case 'ProducerIds': {
        const { nextProducerId } = record.fields
        if (!Number.isSafeInteger(nextProducerId) || nextProducerId < 0) throw new Error('a producer id beyond 2^53-1')
        this.#nextProducerId = Math.max(this.#nextProducerId, nextProducerId)
        return
      }
      case 'FeatureLevel': {
        const { name, featureLevel } = record.fields
        if (featureLevel === 0) this.#features.delete(name)
        else this.#features.set(name, featureLevel)
        return
      }
      case 'RegisterBroker':
        this.#brokers.add(record.fields.brokerId)
        return
      case 'UnregisterBroker':
        this.#brokers.delete(record.fields.brokerId)
        return
      // Which brokers and controllers were alive, and replicas that might have led: nothing of it outlives the cluster.
      case 'FenceBroker':
      case 'UnfenceBroker':
      case 'BrokerRegistrationChange':
      case 'RegisterController':
      case 'ClearElr':
      case 'ZkMigrationState':
      case 'NoOp':
        return
      case 'BeginTransaction':
      case 'EndTransaction':
      case 'AbortTransaction':
        throw new Error('a metadata transaction within another')
    }
  }

  #topic(topicId: string): KraftTopic {
    const topic = this.topics.get(topicId)
    if (topic === undefined) throw new Error(`a record of topic id ${topicId}, which no topic has`)
    return topic
  }

  #changePartition(change: MetadataRecordFields<'PartitionChange'>): void {
    const { topicId, partitionId, leader, isr, replicas, eligibleLeaderReplicas } = change
    const { name, partitions } = this.#topic(topicId)
    const before = partitions.get(partitionId)
    if (before === undefined) throw new Error(`a change of ${name}-${partitionId}, which does not exist`)
    partitions.set(partitionId, {
      replicas: replicas ?? before.replicas,
      isr: isr ?? before.isr,
      eligibleLeaderReplicas: eligibleLeaderReplicas ?? before.eligibleLeaderReplicas,
      leaderEpoch: before.leaderEpoch + (leader === LEADER_UNCHANGED ? 0 : 1),
    })
  }

  #configure({ resourceType: type, resourceName: name, name: key, value }: MetadataRecordFields<'Config'>): void {
    const resourceKey = keyOf(type, name)
    const resource = this.#resources.get(resourceKey) ?? { type, name, configs: new Map<string, string>() }
    if (value === null) resource.configs.delete(key)
    else resource.configs.set(key, value)
    if (resource.configs.size === 0) this.#resources.delete(resourceKey)
    else this.#resources.set(resourceKey, resource)
  }

  #setQuota({ entity, key, value, remove }: MetadataRecordFields<'ClientQuota'>): void {
    const known = this.#quotas.get(entityKey(entity)) ?? { entity, quotas: new Map<string, number>() }
    if (remove) known.quotas.delete(key)
    else known.quotas.set(key, value)
    if (known.quotas.size === 0) this.#quotas.delete(entityKey(entity))
    else this.#quotas.set(entityKey(entity), known)
  }
}

const LEADER_UNCHANGED = -2

/** Its bytes are a view on a buffer that is used again. */
function detachedCredential(fields: ScramCredential): ScramCredential {
  const { salt, storedKey, serverKey } = fields
  return { ...fields, salt: Buffer.from(salt), storedKey: Buffer.from(storedKey), serverKey: Buffer.from(serverKey) }
}

const detached = (record: MetadataRecord): MetadataRecord =>
  record.name === 'UserScramCredential' ? { ...record, fields: detachedCredential(record.fields) } : record
