import type { Admin } from '@tidelog/client'

export interface Place {
  readonly topic: string
  readonly partition: number
}

export function byPlace(a: Place, b: Place): number {
  return a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1
}

export interface CallLimits {
  readonly signal: AbortSignal
  readonly timeoutMs?: number | undefined
}

/**
 * The partitions that `--topic t` and `--topic t:0,1` mean.
 * @throws Error in the words of Kafka's tool for partitions that do not exist, BrokerError for such topics.
 */
export async function placesOf(admin: Admin, topics: readonly string[], limits: CallLimits): Promise<Place[]> {
  const asked = topics.map((word) => {
    const colon = word.lastIndexOf(':')
    const partitions = colon === -1 ? undefined : word.slice(colon + 1).split(',')
    if (partitions?.some((id) => !/^\d+$/.test(id))) throw new Error(`Invalid partitions: ${word}`)
    return { topic: colon === -1 ? word : word.slice(0, colon), partitions: partitions?.map(Number) }
  })
  const described = await admin.describeTopics([...new Set(asked.map(({ topic }) => topic))], limits)
  const missing: string[] = []
  const places = asked.flatMap(({ topic, partitions }) => {
    const existing = described.get(topic)?.partitions.map(({ partition }) => partition) ?? []
    missing.push(...(partitions ?? []).filter((partition) => !existing.includes(partition)).map((partition) => `${topic}-${partition}`))
    return (partitions ?? existing).map((partition) => ({ topic, partition }))
  })
  if (missing.length > 0) throw new Error(`The partitions "${missing.join(', ')}" do not exist`)
  return places
}
