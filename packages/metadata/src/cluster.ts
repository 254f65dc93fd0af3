import { type Clock, type Random, randomUuid } from '@tidelog/core'
import { defaultFeatureLevels, type SupportedFeatures, supportedFeatures } from './features.ts'
import { createMissing } from './store/bulk-write.ts'
import { ifThere, isStoreError, type MetadataStore } from './store/metadata-store.ts'
import {
  type BrokerRegistration,
  brokerIdPath,
  CLUSTER_ID,
  decodeClusterId,
  decodeTopic,
  encodeBroker,
  encodeClusterId,
  encodeFeatures,
  encodeLogDirFailure,
  FEATURE,
  LOG_DIR_EVENT_PREFIX,
  PERSISTENT_PATHS,
  topicPath,
} from './znodes.ts'

export interface OpenClusterOptions {
  /** The id that meta.properties has, if it has one. */
  readonly clusterId?: string | undefined
  readonly random: Random
  /** Whose defaults a cluster finalizes that has no levels yet; those of this software when absent. */
  readonly features?: SupportedFeatures
  /** Takes over what lies in the log dirs; called while the store knows no cluster, again after a stop in the middle of it. */
  readonly adopt?: () => Promise<void>
}

/**
 * Makes the nodes that every cluster has, where they are missing, and gives the cluster its id, the last of them.
 * @returns The cluster's id: the store's, else that of meta.properties, else a random one.
 * @throws Error in one line when the log dirs belong to another cluster than the store
 */
export async function openCluster(
  store: MetadataStore,
  { clusterId: wanted, random, features = supportedFeatures, adopt }: OpenClusterOptions,
): Promise<string> {
  await createMissing(
    store,
    PERSISTENT_PATHS.map((path) => [path, Buffer.alloc(0)]),
  )
  if ((await store.exists(CLUSTER_ID)) === undefined) await adopt?.()
  await createMissing(store, [
    [FEATURE, encodeFeatures(defaultFeatureLevels(features))],
    [CLUSTER_ID, encodeClusterId(wanted ?? randomUuid(random))],
  ])
  const clusterId = decodeClusterId((await store.get(CLUSTER_ID)).data)
  if (wanted !== undefined && wanted !== clusterId) {
    throw new Error(
      `the log dirs belong to cluster ${wanted} (meta.properties), but the metadata store to cluster ${clusterId}: ` +
        'one of them comes from elsewhere',
    )
  }
  return clusterId
}

/**
 * Makes a broker known for as long as the session lasts.
 * @returns Its broker epoch, larger than that of any registration before.
 * @throws Error in one line when a broker with this id is registered already
 */
export async function registerBroker(store: MetadataStore, broker: BrokerRegistration, { clock }: { clock: Clock }): Promise<number> {
  try {
    const { stat } = await store.create(brokerIdPath(broker.id), encodeBroker(broker, clock.now()), { ephemeral: true })
    return stat!.czxid
  } catch (error) {
    if (!isStoreError(error, 'NodeExists')) throw error
    throw new Error(`a broker with id ${broker.id} is registered already: give this one another node.id`, { cause: error })
  }
}

/** Changes what is known of a broker that is registered: its addresses, whether it takes partitions. @throws StoreError NoNode when it is not */
export async function updateRegistration(store: MetadataStore, broker: BrokerRegistration, { clock }: { clock: Clock }): Promise<void> {
  await store.set(brokerIdPath(broker.id), encodeBroker(broker, clock.now()))
}

/** Lets the controller know that this broker has partitions in a log dir that has failed; it asks which. KIP-112. */
export async function reportLogDirFailure(store: MetadataStore, brokerId: number): Promise<void> {
  await store.create(LOG_DIR_EVENT_PREFIX, encodeLogDirFailure(brokerId), { sequential: true })
}

/** The id of the topic of that name; undefined when there is none, or it has none: a Kafka before 2.8 made it. */
export async function storedTopicId(store: MetadataStore, topic: string): Promise<string | undefined> {
  const node = await ifThere(store.get(topicPath(topic)))
  return node && decodeTopic(topic, node.data).topicId
}
