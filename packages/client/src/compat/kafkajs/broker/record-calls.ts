import { DeleteRecords, Fetch, type FetchResponse, ListOffsets, Produce } from '@tidelog/protocol'
import { KafkaJSDeleteTopicRecordsError, KafkaJSOffsetOutOfRange } from '../errors.ts'
import { int64Of } from '../offset-arguments.ts'
import { errorOfCode } from '../protocol-errors.ts'
import type { SeekEntry } from '../types-client.ts'
import type { Message } from '../types-producer.ts'
import { brokerCall, checkCode, checkEach, inOrderOfTopic, throttled } from './broker-call.ts'
import { type BatchTools, batchOf, recordsIn } from './record-batches.ts'

/** Requests about records: kafkajs's Broker.produce, fetch, listOffsets and deleteRecords. */

const READ_COMMITTED = 1
const CONSUMER = -1
const LATEST = -1
const NOT_IDEMPOTENT = -1
const ALL = -1
const PRODUCE_TIMEOUT_MS = 30_000
const FETCH_WAIT_MS = 5000
const FETCH_BYTES = 10_485_760
const DELETE_TIMEOUT_MS = 5000

export interface ProduceGiven {
  topicData: { topic: string; partitions: { partition: number; firstSequence?: number; messages: Message[] }[] }[]
  transactionalId?: string | null
  producerId?: unknown
  producerEpoch?: number
  acks?: number
  timeout?: number
  compression?: number
}

export const produceCall = (tools: BatchTools) =>
  brokerCall({
    api: Produce,
    newest: 7,
    heldMs: ({ timeout = PRODUCE_TIMEOUT_MS }: ProduceGiven) => timeout,
    request: async ({
      topicData,
      transactionalId = null,
      producerId = NOT_IDEMPOTENT,
      producerEpoch = 0,
      acks = ALL,
      timeout = PRODUCE_TIMEOUT_MS,
      compression = 0,
    }) => {
      const id = int64Of(producerId)
      const partitionDataOf = async ({
        partition,
        firstSequence = 0,
        messages,
      }: ProduceGiven['topicData'][number]['partitions'][number]) => {
        const batch = { messages, compression, producerId: id, producerEpoch, firstSequence, isTransactional: Boolean(transactionalId) }
        return { index: Number(partition), records: await batchOf(batch, tools) }
      }
      return {
        transactionalId,
        acks,
        timeoutMs: timeout,
        topicData: await Promise.all(
          topicData.map(async ({ topic, partitions }) => ({
            name: topic,
            partitionData: await Promise.all(partitions.map(partitionDataOf)),
          })),
        ),
      }
    },
    answer: (response) => {
      for (const { partitionResponses } of response.responses) checkEach(partitionResponses)
      return {
        topics: response.responses.map(({ name, partitionResponses }) => ({
          topicName: name,
          partitions: partitionResponses.map(({ index, errorCode, baseOffset, logAppendTimeMs, logStartOffset }) => ({
            partition: index,
            errorCode,
            baseOffset: String(baseOffset),
            logAppendTime: String(logAppendTimeMs),
            logStartOffset: String(logStartOffset),
          })),
        })),
        ...throttled(response),
      }
    },
  })

export interface FetchGiven {
  replicaId?: number
  isolationLevel?: number
  maxWaitTime?: number
  minBytes?: number
  maxBytes?: number
  topics: {
    topic: string
    partitions: { partition: number; fetchOffset: string; maxBytes: number; currentLeaderEpoch?: number; logStartOffset?: unknown }[]
  }[]
  rackId?: string
}

/** Outside of sessions: every fetch names all of its partitions. */
export const fetchCall = (tools: BatchTools) =>
  brokerCall({
    api: Fetch,
    newest: 11,
    purpose: 'fetch',
    heldMs: ({ maxWaitTime = FETCH_WAIT_MS }: FetchGiven) => maxWaitTime,
    request: ({
      replicaId = CONSUMER,
      isolationLevel = READ_COMMITTED,
      maxWaitTime = FETCH_WAIT_MS,
      minBytes = 1,
      maxBytes = FETCH_BYTES,
      topics,
      rackId = '',
    }) => ({
      replicaId,
      isolationLevel,
      maxWaitMs: maxWaitTime,
      minBytes,
      maxBytes,
      rackId,
      topics: topics.map(({ topic, partitions }) => ({
        topic,
        partitions: partitions.map(
          ({ partition, fetchOffset, maxBytes: partitionMaxBytes, currentLeaderEpoch = -1, logStartOffset = -1 }) => ({
            partition: Number(partition),
            currentLeaderEpoch,
            fetchOffset: int64Of(fetchOffset),
            logStartOffset: int64Of(logStartOffset),
            partitionMaxBytes,
          }),
        ),
      })),
    }),
    answer: async (response) => {
      checkCode(response.errorCode)
      for (const { topic, partitions } of response.responses) {
        for (const { partitionIndex: partition, errorCode } of partitions) {
          const error = errorCode === 0 ? undefined : errorOfCode(errorCode)
          if (error?.type === 'OFFSET_OUT_OF_RANGE') throw new KafkaJSOffsetOutOfRange(error, { topic, partition })
          if (error !== undefined) throw error
        }
      }
      return {
        ...throttled(response),
        errorCode: response.errorCode,
        sessionId: response.sessionId,
        responses: await Promise.all(
          response.responses.map(async ({ topic, partitions }) => ({
            topicName: topic,
            partitions: await Promise.all(partitions.map((one) => fetchedPartition(one, tools))),
          })),
        ),
      }
    },
  })

type FetchedPartition = FetchResponse['responses'][number]['partitions'][number]

async function fetchedPartition(fetched: FetchedPartition, tools: BatchTools) {
  const { partitionIndex, errorCode, highWatermark, lastStableOffset, logStartOffset, abortedTransactions, preferredReadReplica } = fetched
  return {
    partition: partitionIndex,
    errorCode,
    highWatermark: String(highWatermark),
    lastStableOffset: String(lastStableOffset),
    // kafkajs's name for where the log begins.
    lastStartOffset: String(logStartOffset),
    abortedTransactions: (abortedTransactions ?? []).map(({ producerId, firstOffset }) => ({
      producerId: String(producerId),
      firstOffset: String(firstOffset),
    })),
    preferredReadReplica,
    messages: await recordsIn(fetched.records, tools),
  }
}

export interface ListOffsetsGiven {
  replicaId?: number
  isolationLevel?: number
  topics: { topic: string; partitions: { partition: number; timestamp?: unknown }[] }[]
}

export const listOffsetsCall = brokerCall({
  api: ListOffsets,
  newest: 3,
  request: ({ replicaId = CONSUMER, isolationLevel = READ_COMMITTED, topics }: ListOffsetsGiven) => ({
    replicaId,
    isolationLevel,
    topics: topics.map(({ topic, partitions }) => ({
      name: topic,
      partitions: partitions.map(({ partition, timestamp = LATEST }) => ({
        partitionIndex: Number(partition),
        timestamp: int64Of(timestamp),
      })),
    })),
    timeoutMs: 0,
  }),
  answer: (response) => {
    for (const { partitions } of response.topics) checkEach(partitions)
    return {
      ...throttled(response),
      responses: response.topics.map(({ name, partitions }) => ({
        topic: name,
        partitions: partitions.map(({ partitionIndex, errorCode, timestamp, offset }) => ({
          partition: partitionIndex,
          errorCode,
          timestamp: String(timestamp),
          offset: String(offset),
        })),
      })),
    }
  },
})

export interface DeleteRecordsGiven {
  topics: { topic: string; partitions: SeekEntry[] }[]
}

export const deleteRecordsCall = brokerCall({
  api: DeleteRecords,
  newest: 1,
  heldMs: () => DELETE_TIMEOUT_MS,
  request: ({ topics }: DeleteRecordsGiven) => ({
    topics: topics.map(({ topic, partitions }) => ({
      name: topic,
      partitions: partitions.map(({ partition, offset }) => ({ partitionIndex: Number(partition), offset: int64Of(offset) })),
    })),
    timeoutMs: DELETE_TIMEOUT_MS,
  }),
  answer: (response, given) => {
    for (const { name, partitions } of response.topics) {
      const failed = partitions.filter(({ errorCode }) => errorCode !== 0)
      if (failed.length === 0) continue
      const asked = given.topics.find(({ topic }) => topic === name)?.partitions ?? []
      throw new KafkaJSDeleteTopicRecordsError({
        topic: name,
        partitions: failed.map(({ partitionIndex: partition, errorCode }) => ({
          partition,
          error: errorOfCode(errorCode),
          offset: asked.find((one) => Number(one.partition) === partition)?.offset ?? '',
        })),
      })
    }
    return {
      ...throttled(response),
      topics: inOrderOfTopic(
        response.topics.map(({ name, partitions }) => ({
          topic: name,
          partitions: partitions.map(({ partitionIndex, lowWatermark, errorCode }) => ({
            partition: partitionIndex,
            // The one int64 that kafkajs leaves as it is.
            lowWatermark: BigInt(lowWatermark),
            errorCode,
          })),
        })),
      ),
    }
  },
})
