import assert from 'node:assert/strict'
import { Fetch, ListOffsets, Produce } from '@tidelog/protocol'
import { batchOf, type connectTo, recordsIn } from '@tidelog/testkit'

export type Connection = Awaited<ReturnType<typeof connectTo>>

/** What producing the value to partition 0 is answered with; undefined when the connection is gone. */
export async function codeOf(connection: Connection, value: string, topic = 'disk'): Promise<number | undefined> {
  const topicData = [{ name: topic, partitionData: [{ index: 0, records: batchOf([{ value }]) }] }]
  try {
    const { responses } = await connection.send(Produce, 9, { transactionalId: null, acks: -1, timeoutMs: 2000, topicData })
    return responses[0]!.partitionResponses[0]!.errorCode
  } catch {
    return undefined
  }
}

/** What a fetch from an offset of partition 0 says. */
export async function fetchFrom(
  connection: Connection,
  fetchOffset: number,
  topic = 'disk',
): Promise<{ errorCode: number; values: string[] }> {
  const { responses } = await connection.send(Fetch, 11, {
    maxWaitMs: 0,
    minBytes: 0,
    topics: [{ topic, partitions: [{ partition: 0, fetchOffset, partitionMaxBytes: 4 << 20 }] }],
    forgottenTopicsData: [],
  })
  const { errorCode, records } = responses[0]!.partitions[0]!
  return { errorCode, values: recordsIn(records).map(({ value }) => value!) }
}

/** The values of partition 0, all of them. */
export async function valuesOf(connection: Connection, topic = 'disk'): Promise<string[]> {
  const { topics } = await connection.send(ListOffsets, 1, {
    replicaId: -1,
    topics: [{ name: topic, partitions: [{ partitionIndex: 0, timestamp: -1 }] }],
  })
  const values: string[] = []
  while (values.length < topics[0]!.partitions[0]!.offset) {
    const fetched = await fetchFrom(connection, values.length, topic)
    assert.ok(fetched.values.length > 0, `error ${fetched.errorCode} at ${values.length}`)
    values.push(...fetched.values)
  }
  return values
}

/** Produces value after value until one is not acked, or `until` says so. Returns those that were acked. */
export async function ackedUntil(
  connection: Connection,
  { bytes, limit, from = 0, onAck }: { bytes: number; limit: number; from?: number; onAck?: (count: number) => void },
): Promise<string[]> {
  const acked: string[] = []
  while (acked.length < limit) {
    const value = `${from + acked.length}:${'x'.repeat(bytes)}`
    const code = await codeOf(connection, value)
    if (code !== 0) {
      assert.ok(code === undefined || code === 56, `error ${code}`)
      break
    }
    acked.push(value)
    onAck?.(acked.length)
  }
  return acked
}
