import type { Admin } from '@tidelog/client'

export interface Place {
  readonly topic: string
  readonly partition: number
}

/** An open transaction of a producer in a partition. */
export interface OpenTransaction extends Place {
  readonly producerId: number
  readonly producerEpoch: number
  /** -1: the partition knows none. */
  readonly coordinatorEpoch: number
  readonly startOffset: number
  /** Of the producer's last batch there, in ms since the Unix epoch. */
  readonly lastTimestamp: number
}

/** Requests stay small: a broker may host many thousands of partitions. */
const PARTITIONS_PER_REQUEST = 500

/** What is open in `places` and has been silent for longer than `silentMs`. */
export async function openTransactions(
  admin: Admin,
  places: readonly Place[],
  { silentMs, nowMs, signal }: { silentMs: number; nowMs: number; signal: AbortSignal },
): Promise<OpenTransaction[]> {
  const open: OpenTransaction[] = []
  for (let start = 0; start < places.length; start += PARTITIONS_PER_REQUEST) {
    const described = await admin.describeProducers(places.slice(start, start + PARTITIONS_PER_REQUEST), { signal })
    for (const { topic, partition, activeProducers } of described) {
      for (const { currentTxnStartOffset, ...producer } of activeProducers) {
        if (currentTxnStartOffset < 0 || nowMs - producer.lastTimestamp <= silentMs) continue
        open.push({ topic, partition, startOffset: currentTxnStartOffset, ...producer })
      }
    }
  }
  return open
}

/** Those that no coordinator will ever end: none knows their producer, or the one that does has no such partition in its open transaction. */
export async function hangingAmong(admin: Admin, open: readonly OpenTransaction[], signal: AbortSignal): Promise<OpenTransaction[]> {
  if (open.length === 0) return []
  const producerIds = [...new Set(open.map(({ producerId }) => producerId))]
  const idOf = new Map<number, string>()
  for (const listed of (await admin.listTransactions({ producerIds, signal })).values()) {
    for (const { producerId, transactionalId } of listed) idOf.set(producerId, transactionalId)
  }
  const expected = new Map<string, Set<string>>()
  for (const transactionalId of new Set(idOf.values())) {
    const described = await admin.describeTransactions([transactionalId], { signal }).catch((error: unknown) => {
      // It has expired since it was listed.
      if ((error as { code?: string }).code === 'TRANSACTIONAL_ID_NOT_FOUND') return undefined
      throw error
    })
    const partitions = described?.get(transactionalId)?.partitions ?? []
    expected.set(transactionalId, new Set(partitions.map(({ topic, partition }) => `${topic}-${partition}`)))
  }
  return open.filter(({ producerId, topic, partition }) => !expected.get(idOf.get(producerId) ?? '')?.has(`${topic}-${partition}`))
}

/** Partitions of the topics; only those with a replica on `brokerId` when it is given. */
export async function partitionsOf(
  admin: Admin,
  topics: readonly string[],
  { brokerId, signal }: { brokerId: number | undefined; signal: AbortSignal },
): Promise<Place[]> {
  const described = await admin.describeTopics(topics, { signal })
  return [...described.values()].flatMap(({ name, partitions }) =>
    partitions
      .filter(({ replicas }) => brokerId === undefined || replicas.includes(brokerId))
      .map(({ partition }) => ({ topic: name, partition })),
  )
}
