import type { Logger } from '@tidelog/core'
import type { FoundPartition } from './adopted-topics.ts'
import { storedTopicId } from './cluster.ts'
import { writeInChunks } from './store/bulk-write.ts'
import { ifThere, type MetadataStore, type StoreOperation } from './store/metadata-store.ts'
import { decodePartitionState, encodePartitionState, partitionStatePath } from './znodes.ts'

/**
 * Lets the store catch up with leader epochs that another Kafka has written in the meantime, when a directory that was adopted once comes back from it: the
 * next leader's epoch must be above every one in the log. Where only this store's brokers write there is nothing to do. Called before the controller starts.
 */
export async function raiseLeaderEpochs(store: MetadataStore, found: Iterable<FoundPartition>, logger: Logger): Promise<void> {
  const topicIds = new Map<string, string | undefined>()
  const raised: StoreOperation[] = []
  for (const { topic, partition, topicId, lastLeaderEpoch } of found) {
    const path = partitionStatePath(topic, partition)
    const node = lastLeaderEpoch < 0 ? undefined : await ifThere(store.get(path))
    if (node === undefined) continue
    const state = decodePartitionState(topic, partition, node.data)
    if (state.leaderEpoch >= lastLeaderEpoch) continue
    if (!topicIds.has(topic)) topicIds.set(topic, await storedTopicId(store, topic))
    if (topicId !== undefined && topicId !== topicIds.get(topic)) continue // a stray's
    const data = encodePartitionState({ ...state, leaderEpoch: lastLeaderEpoch })
    raised.push({ type: 'set', path, data, version: node.stat.version })
  }
  if (raised.length === 0) return
  await writeInChunks(store, raised)
  logger.warn('another Kafka has written to the log dirs since the last stop: leader epochs go on above its own', {
    partitions: raised.length,
  })
}
