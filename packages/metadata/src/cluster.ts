import { type Clock, type Random, randomUuid } from '@tidelog/core'
import { isStoreError, type MetadataStore } from './store/metadata-store.ts'
import {
  type BrokerRegistration,
  brokerIdPath,
  CLUSTER_ID,
  decodeClusterId,
  decodeFeatures,
  encodeBroker,
  encodeClusterId,
  encodeFeatures,
  FEATURE,
  PERSISTENT_PATHS,
} from './znodes.ts'

/**
 * Makes the nodes that every cluster has, where they are missing, and gives the cluster its id.
 * @param clusterId The id that meta.properties has, if it has one.
 * @returns The cluster's id: the store's, else `clusterId`, else a random one.
 * @throws Error in one line when the log dirs belong to another cluster than the store
 */
export async function openCluster(store: MetadataStore, options: { clusterId?: string; random: Random }): Promise<string> {
  const nodes: (readonly [path: string, data: Buffer])[] = [
    ...PERSISTENT_PATHS.map((path) => [path, Buffer.alloc(0)] as const),
    [CLUSTER_ID, encodeClusterId(options.clusterId ?? randomUuid(options.random))],
  ]
  await createMissing(store, nodes)
  const clusterId = decodeClusterId((await store.get(CLUSTER_ID)).data)
  if (options.clusterId !== undefined && options.clusterId !== clusterId) {
    throw new Error(
      `the log dirs belong to cluster ${options.clusterId} (meta.properties), but the metadata store to cluster ${clusterId}: ` +
        'one of them comes from elsewhere',
    )
  }
  return clusterId
}

/** True when the store knows a cluster already: its log dirs are then no longer adopted. */
export async function hasCluster(store: MetadataStore): Promise<boolean> {
  return (await store.exists(CLUSTER_ID)) !== undefined
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

/** Finalized feature levels of the cluster; the epoch grows with each change and is −1 before the first. Source: KIP-584. */
export async function readFeatures(store: MetadataStore): Promise<{ epoch: number; levels: ReadonlyMap<string, number> }> {
  if ((await store.exists(FEATURE)) === undefined) return { epoch: -1, levels: new Map() }
  const { data, stat } = await store.get(FEATURE)
  return { epoch: stat.version, levels: decodeFeatures(data) }
}

/** Writes the features a new cluster begins with; does nothing when there are finalized features. */
export async function initializeFeatures(store: MetadataStore, levels: ReadonlyMap<string, number>): Promise<void> {
  await createMissing(store, [[FEATURE, encodeFeatures(levels)]])
}

/** All that are missing at once, so that nobody sees half of them. */
async function createMissing(store: MetadataStore, nodes: readonly (readonly [path: string, data: Buffer])[]): Promise<void> {
  for (;;) {
    const stats = await Promise.all(nodes.map(([path]) => store.exists(path)))
    const missing = nodes.filter((_node, index) => stats[index] === undefined)
    if (missing.length === 0) return
    try {
      await store.multi(missing.map(([path, data]) => ({ type: 'create', path, data })))
      return
    } catch (error) {
      // Another broker is at it too.
      if (!isStoreError(error, 'NodeExists')) throw error
    }
  }
}
