import { ByteReader, ByteWriter } from '@tidelog/core'
import { consumerProtocolAssignment, consumerProtocolSubscription } from '@tidelog/protocol'
import { groupByTopic, type TopicPartition } from './topic-partition.ts'

/**
 * The bytes that members of a classic consumer group exchange through their coordinator: subscriptions in JoinGroup, assignments in SyncGroup.
 * Each starts with an int16 version. They come from other clients, so a version beyond ours is read as our newest.
 */

export interface Subscription {
  readonly topics: readonly string[]
  readonly userData: Buffer | null
  readonly ownedPartitions: readonly TopicPartition[]
  readonly generationId: number
  readonly rackId: string | null
}

const rows = (partitions: Iterable<TopicPartition>) =>
  [...groupByTopic(partitions)].map(([topic, entries]) => ({ topic, partitions: entries.map(({ partition }) => partition) }))

const flat = (topics: readonly { readonly topic: string; readonly partitions: readonly number[] }[]): TopicPartition[] =>
  topics.flatMap(({ topic, partitions }) => partitions.map((partition) => ({ topic, partition })))

const clamp = (version: number, [oldest, newest]: readonly [number, number]): number => Math.max(oldest, Math.min(newest, version))

export function encodeSubscription(subscription: Subscription): Buffer {
  const version = consumerProtocolSubscription.versions[1]
  const writer = new ByteWriter()
  writer.int16(version)
  consumerProtocolSubscription.codec(version).write(writer, { ...subscription, ownedPartitions: rows(subscription.ownedPartitions) })
  return writer.toBuffer()
}

/** @throws MalformedError for bytes that are no subscription. */
export function decodeSubscription(metadata: Buffer): Subscription {
  const reader = new ByteReader(metadata)
  const version = clamp(reader.int16(), consumerProtocolSubscription.versions)
  const subscription = consumerProtocolSubscription.codec(version).read(reader)
  return { ...subscription, ownedPartitions: flat(subscription.ownedPartitions) }
}

/** What the leader gives to one member. */
export interface Assignment {
  readonly partitions: readonly TopicPartition[]
  readonly userData: Buffer | null
}

export function encodeAssignment(partitions: Iterable<TopicPartition>, userData: Buffer | null): Buffer {
  // Version 0 holds all there is, and every client reads it.
  const writer = new ByteWriter()
  writer.int16(0)
  consumerProtocolAssignment.codec(0).write(writer, { assignedPartitions: rows(partitions), userData })
  return writer.toBuffer()
}

/** Empty bytes are an empty assignment. @throws MalformedError for bytes that are no assignment. */
export function decodeAssignment(assignment: Buffer): Assignment {
  if (assignment.length === 0) return { partitions: [], userData: null }
  const reader = new ByteReader(assignment)
  const version = clamp(reader.int16(), consumerProtocolAssignment.versions)
  const { assignedPartitions, userData } = consumerProtocolAssignment.codec(version).read(reader)
  return { partitions: flat(assignedPartitions), userData }
}
