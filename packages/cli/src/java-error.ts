/**
 * Errors in the words of Kafka's tools. Where the broker gave no words of its own, Java's client prints those of its exception class;
 * scripts look for them, so ours prints the same.
 */

interface ErrorLike {
  readonly message: string
  readonly code?: string
  /** The broker's own words. */
  readonly detail?: string | null
}

const exceptions: ReadonlyMap<string, readonly [className: string, words: string]> = new Map([
  ['UNKNOWN_TOPIC_OR_PARTITION', ['UnknownTopicOrPartitionException', 'This server does not host this topic-partition.']],
  ['GROUP_ID_NOT_FOUND', ['GroupIdNotFoundException', 'The group id does not exist.']],
  ['NON_EMPTY_GROUP', ['GroupNotEmptyException', 'The group is not empty.']],
  ['INVALID_GROUP_ID', ['InvalidGroupIdException', 'The group id is invalid.']],
  ['UNKNOWN_MEMBER_ID', ['UnknownMemberIdException', 'The coordinator is not aware of this member.']],
  [
    'GROUP_SUBSCRIBED_TO_TOPIC',
    ['GroupSubscribedToTopicException', 'Deleting offsets of a topic is forbidden while the consumer group is actively subscribed to it.'],
  ],
  [
    'OFFSET_OUT_OF_RANGE',
    ['OffsetOutOfRangeException', 'The requested offset is not within the range of offsets maintained by the server.'],
  ],
  ['INVALID_CONFIG', ['InvalidConfigurationException', 'Configuration is invalid.']],
  [
    'INVALID_REQUEST',
    [
      'InvalidRequestException',
      'This most likely occurs because of a request being malformed by the client library or the message was sent to an incompatible broker.',
    ],
  ],
  ['KAFKA_STORAGE_ERROR', ['KafkaStorageException', 'Disk error when trying to access log file on the disk.']],
  ['TIMEOUT', ['TimeoutException', 'Timed out']],
])

function asErrorLike(error: unknown): ErrorLike {
  return error instanceof Error ? error : { message: String(error) }
}

/** What Java's `getMessage()` would be. */
export function javaMessage(error: unknown): string {
  const { message, code = '', detail } = asErrorLike(error)
  if (detail === undefined) return message // not from a broker
  return detail ?? exceptions.get(code)?.[1] ?? message
}

/** The class that Java's client would throw. */
export function javaClassName(error: unknown): string {
  return `org.apache.kafka.common.errors.${exceptions.get(asErrorLike(error).code ?? '')?.[0] ?? 'KafkaException'}`
}

/** What Java's `toString()` would be: class and message. */
export function javaText(error: unknown): string {
  return `${javaClassName(error)}: ${javaMessage(error)}`
}

/** As `javaText`, of an error that came out of a Java future: what a broker refused is wrapped in the future's own exception. */
export function javaFutureText(error: unknown): string {
  return asErrorLike(error).detail === undefined ? javaText(error) : `java.util.concurrent.ExecutionException: ${javaText(error)}`
}

/** Whether a broker refused with the error of that name. */
export function hasCode(error: unknown, code: string): boolean {
  return asErrorLike(error).code === code
}
