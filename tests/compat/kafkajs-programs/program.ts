import type { Kafka, KafkaConfig } from 'kafkajs'
import type { Library } from '../kafkajs-libraries.ts'

/** Something to do with kafkajs. What it returns is compared between the libraries, so it holds no time, no id and nothing that depends on luck. */
export type Program = (library: Library, bootstrap: string) => Promise<unknown>

export const kafkaOf = ({ Kafka, logLevel }: Library, bootstrap: string, config: Partial<KafkaConfig> = {}): Kafka =>
  new Kafka({
    clientId: 'program',
    brokers: [bootstrap],
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 30, retries: 3 },
    ...config,
  })

/** The errors that a failure consists of, outermost first, as a program tells them apart. */
export function errorOf(error: unknown): unknown {
  if (!(error instanceof Error)) return { thrown: String(error) }
  const { name, type, code, retriable, topic, partition, errors, cause, partitions, groups } = error as Error & Record<string, unknown>
  const told = Object.entries({ type, code, retriable, topic, partition }).filter(([, value]) => value !== undefined)
  return {
    name,
    ...Object.fromEntries(told),
    ...(Array.isArray(errors) ? { errors: errors.map(errorOf) } : {}),
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

/** A promise and how to keep it. */
export function signal(): { readonly given: Promise<void>; give(): void } {
  let give!: () => void
  const given = new Promise<void>((resolve) => {
    give = resolve
  })
  return { given, give }
}
