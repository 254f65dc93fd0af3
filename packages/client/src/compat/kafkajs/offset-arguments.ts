import { KafkaJSNonRetriableError } from './errors.ts'

/** Behind the last message, and the first. */
export const SPECIAL_OFFSETS: readonly number[] = [-1, -2]

/** An int64 as kafkajs's users give it: a number, digits, a bigint or a Long. @throws KafkaJSNonRetriableError for what is none, or is beyond ±(2^53−1) */
export function int64Of(value: unknown): number {
  const number = Number(String(value))
  if (!Number.isSafeInteger(number)) throw new KafkaJSNonRetriableError(`${value} is no whole number within ±(2^53−1)`)
  return number
}

/** @throws KafkaJSNonRetriableError unless there is a topic and the partition is a number */
export function partitionOf(topic: string, partition: number): number {
  if (!topic) throw new KafkaJSNonRetriableError(`${topic} is no topic`)
  if (Number.isNaN(Number(partition))) throw new KafkaJSNonRetriableError(`${partition} is no partition: a number is expected`)
  return Number(partition)
}

/** @throws KafkaJSNonRetriableError for what is no offset; negative ones are only those that are `allowed` */
export function offsetOf(offset: string, allowed: readonly number[] = []): number {
  const number = /^-?\d+$/.test(String(offset)) ? Number(offset) : Number.NaN
  if (!Number.isSafeInteger(number)) throw new KafkaJSNonRetriableError(`${offset} is no offset: a whole number in digits is expected`)
  if (number < 0 && !allowed.includes(number)) throw new KafkaJSNonRetriableError(`offset ${offset} is negative`)
  return number
}

type Topics = readonly { readonly topic: string; readonly partitions?: readonly number[] }[]

/** What pause() and resume() are given. @throws KafkaJSNonRetriableError for what is no topic, or no list of partitions */
export function checkedTopics(topics: Topics = []): Topics {
  for (const entry of topics) {
    if (!entry?.topic) throw new KafkaJSNonRetriableError(`${entry?.topic ?? entry} is no topic`)
    const { partitions } = entry
    if (partitions !== undefined && (!Array.isArray(partitions) || partitions.some((partition) => Number.isNaN(Number(partition)))))
      throw new KafkaJSNonRetriableError(`partitions must be an array of numbers, and not ${partitions}`)
  }
  return topics
}
