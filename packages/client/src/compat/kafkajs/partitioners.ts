import { randomBytes } from 'node:crypto'
import type { PartitionInfo } from '../../cluster/metadata-cache.ts'
import { murmur2 } from '../../producer/murmur2.ts'
import { legacyMurmur2 } from './legacy-murmur2.ts'
import type { PartitionMetadata } from './types-client.ts'
import type { ICustomPartitioner } from './types-producer.ts'

const LEADER_NOT_AVAILABLE = 5

/** As partitioners and assigners of kafkajs are shown a partition. */
export const partitionMetadataOf = ({ partition, leaderId, replicas, isr, offlineReplicas }: PartitionInfo): PartitionMetadata => ({
  partitionErrorCode: leaderId < 0 ? LEADER_NOT_AVAILABLE : 0,
  partitionId: partition,
  leader: leaderId,
  replicas: [...replicas],
  isr: [...isr],
  offlineReplicas: [...offlineReplicas],
})

const positive = (hash: number): number => hash & 0x7fffffff
const bytesOf = (key: Buffer | string): Buffer => (Buffer.isBuffer(key) ? key : Buffer.from(String(key)))

/** A partition that is named, else by the key's hash, else one after the other among those that have a leader, from a random one on. */
const keyedOrInTurn =
  (hash: (key: Buffer) => number): ICustomPartitioner =>
  () => {
    const turns = new Map<string, number>()
    return ({ topic, partitionMetadata, message }) => {
      if (message.partition !== undefined && message.partition !== null) return message.partition
      if (message.key !== undefined && message.key !== null) return positive(hash(bytesOf(message.key))) % partitionMetadata.length
      const turn = (turns.get(topic) ?? randomBytes(4).readUInt32BE()) + 1
      turns.set(topic, turn)
      const led = partitionMetadata.filter(({ leader }) => leader >= 0)
      return led.length > 0 ? led[positive(turn) % led.length]!.partitionId : positive(turn) % partitionMetadata.length
    }
  }

const defaultPartitioner = keyedOrInTurn(murmur2)

export const Partitioners: {
  DefaultPartitioner: ICustomPartitioner
  LegacyPartitioner: ICustomPartitioner
  JavaCompatiblePartitioner: ICustomPartitioner
} = {
  /** Same partition as Java's client for every key. */
  DefaultPartitioner: defaultPartitioner,
  /** The default of kafkajs 1, whose hash differs from Java's for many keys. */
  LegacyPartitioner: keyedOrInTurn(legacyMurmur2),
  /** @deprecated The DefaultPartitioner by its old name. */
  JavaCompatiblePartitioner: defaultPartitioner,
}
