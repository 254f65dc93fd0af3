import { KafkaError } from '@tidelog/protocol'

const MAX_NAME_CHARS = 249
/** A `TOPIC-PARTITION` folder name has to fit a file system; Kafka allows as much. */
const LEGAL_NAME = /^[a-zA-Z0-9._-]+$/

export const CONSUMER_OFFSETS_TOPIC = '__consumer_offsets'
export const TRANSACTION_STATE_TOPIC = '__transaction_state'
export const SHARE_GROUP_STATE_TOPIC = '__share_group_state'
export const CLUSTER_METADATA_TOPIC = '__cluster_metadata'

const internalTopics: ReadonlySet<string> = new Set([CONSUMER_OFFSETS_TOPIC, TRANSACTION_STATE_TOPIC, SHARE_GROUP_STATE_TOPIC])

/** True for topics that only the cluster itself writes to. */
export const isInternalTopic = (topic: string): boolean => internalTopics.has(topic)

/** @throws KafkaError INVALID_TOPIC_EXCEPTION; its message says why, in Kafka's words */
export function checkTopicName(topic: string): void {
  const reason = reasonAgainst(topic)
  if (reason !== undefined) throw new KafkaError('INVALID_TOPIC_EXCEPTION', `Topic name is invalid: ${reason}`)
}

export const isValidTopicName = (topic: string): boolean => reasonAgainst(topic) === undefined

function reasonAgainst(topic: string): string | undefined {
  if (topic === '') return 'the empty string is not allowed'
  if (topic === '.' || topic === '..') return `'${topic}' is not allowed`
  if (topic.length > MAX_NAME_CHARS) return `the length of '${topic}' is longer than the max allowed length ${MAX_NAME_CHARS}`
  if (!LEGAL_NAME.test(topic)) return `'${topic}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'`
  return undefined
}

/** Two names with the same key collide in metric names, where `.` and `_` are one; undefined when the name cannot collide. */
export function collisionKey(topic: string): string | undefined {
  return /[._]/.test(topic) ? topic.replaceAll('.', '_') : undefined
}
