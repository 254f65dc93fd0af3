import type { Admin, Kafka, KafkaConfig } from 'kafkajs'
import { eventually } from '../eventually.ts'
import type { Library } from '../kafkajs-libraries.ts'

/** Something to do with kafkajs. What it returns is compared between the libraries, so it holds no time, no id and nothing that depends on luck. */
export type Program = (library: Library, bootstrap: string) => Promise<unknown>

export const kafkaOf = ({ Kafka, logLevel }: Library, bootstrap: string, config: Partial<KafkaConfig> = {}): Kafka =>
  new Kafka({
    clientId: 'program',
    brokers: [bootstrap],
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 30, retries: 8 },
    ...config,
  })

/** What a program has given, as plain data; lists by partition are in order of it, which brokers' answers are not. */
export function comparable(given: unknown): unknown {
  return JSON.parse(JSON.stringify(given ?? null), (_, value) => {
    const isByPartition = Array.isArray(value) && value.length > 0 && value.every((one) => typeof placeOf(one) === 'string')
    return isByPartition ? value.sort((a, b) => (placeOf(a)! < placeOf(b)! ? -1 : 1)) : value
  })
}

function placeOf(one: { topicName?: string; partition?: unknown; partitionId?: unknown } | null): string | undefined {
  const partition = one?.partition ?? one?.partitionId
  return typeof partition === 'number' ? `${one?.topicName ?? ''}/${String(partition).padStart(6, '0')}` : undefined
}

/** The errors that a failure consists of, outermost first, as a program tells them apart. */
export function errorOf(error: unknown): unknown {
  if (!(error instanceof Error)) return { thrown: String(error) }
  const { name, type, code, retriable, topic, partition, errors, cause, partitions, groups } = error as Error & Record<string, unknown>
  const told = Object.entries({ type, code, retriable, topic, partition }).filter(([, value]) => value !== undefined)
  return {
    name,
    ...Object.fromEntries(told),
    ...(Array.isArray(errors) ? { errors: errors.map(errorOf).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)) } : {}),
    ...(Array.isArray(partitions) ? { partitions: partitions.map(({ error: one, ...rest }) => ({ ...rest, error: errorOf(one) })) } : {}),
    ...(Array.isArray(groups) ? { groups: groups.map(({ error: one, ...rest }) => ({ ...rest, error: errorOf(one) })) } : {}),
    ...(cause instanceof Error ? { cause: errorOf(cause) } : {}),
  }
}

export async function failure(call: () => unknown): Promise<unknown> {
  try {
    return { value: await call() }
  } catch (error) {
    return errorOf(error)
  }
}

/** Waits until leaders know that they lead: kafkajs sends again what only some of the partitions have refused, and the others then have it twice. */
export async function ledTopics(admin: Admin, topics: readonly string[]): Promise<void> {
  for (const topic of topics) {
    await eventually(`${topic} has leaders`, () =>
      admin.fetchTopicOffsets(topic).then(
        () => true,
        () => false,
      ),
    )
  }
}

/** A promise and how to keep it. */
export function signal(): { readonly given: Promise<void>; give(): void } {
  let give!: () => void
  const given = new Promise<void>((resolve) => {
    give = resolve
  })
  return { given, give }
}
