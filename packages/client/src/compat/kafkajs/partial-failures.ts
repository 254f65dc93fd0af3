import { PartialFailureError } from '../../errors.ts'
import { KafkaJSProtocolError } from './errors.ts'
import { kafkaJSErrorOf } from './protocol-errors.ts'

/**
 * What has failed, by name, in a call about one thing or several.
 * @param only The name of the one thing, when it was one.
 * @throws what is no answer of a broker: nothing can be said about single things then
 */
export function failuresOf(error: unknown, only: string | undefined): Map<string, KafkaJSProtocolError> {
  const failures = new Map<string, KafkaJSProtocolError>()
  const entries = error instanceof PartialFailureError ? [...error.failures] : [[only ?? '', error] as const]
  for (const [name, one] of entries) {
    const failure = kafkaJSErrorOf(one)
    if (!(failure instanceof KafkaJSProtocolError)) throw failure
    failures.set(name, failure)
  }
  return failures
}

/** The first failure, as kafkajs throws it. */
export const firstFailureOf = (error: unknown): Error =>
  kafkaJSErrorOf(error instanceof PartialFailureError ? [...error.failures.values()][0] : error)
