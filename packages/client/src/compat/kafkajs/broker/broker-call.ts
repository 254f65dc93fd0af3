import { type Api, KafkaError, type RequestInput, type ResponseOf } from '@tidelog/protocol'
import type { Purpose } from '../../../cluster/connection-pool.ts'
import { UnsupportedVersionError } from '../../../errors.ts'
import { KafkaJSServerDoesNotSupportApiKey } from '../errors.ts'
import { apiNameOf } from '../instrumentation.ts'
import { errorOfCode, kafkaJSErrorOf } from '../protocol-errors.ts'

/** One of the requests that kafkajs's Broker sends: how it travels, and the answer as kafkajs shows it. */
export interface BrokerCall<A extends Api, Given, Answer> {
  readonly api: A
  /** kafkajs's newest version of it: brokers answer later ones in other ways. */
  readonly newest: number
  /** `general` when absent. */
  readonly purpose?: Purpose
  /** How long the broker may keep it before it answers, ms; nothing when absent. */
  readonly heldMs?: (given: Given) => number
  readonly request: (given: Given) => RequestInput<A> | Promise<RequestInput<A>>
  /** @throws KafkaJSProtocolError for the first error in the answer */
  readonly answer: (response: ResponseOf<A>, given: Given) => Answer | Promise<Answer>
}

export const brokerCall = <A extends Api, Given, Answer>(call: BrokerCall<A, Given, Answer>): BrokerCall<A, Given, Answer> => call

/** In every answer of a broker that leaves it to the client to keep quiet (KIP-219). */
export const throttled = ({ throttleTimeMs }: { readonly throttleTimeMs: number }) => ({
  throttleTime: 0,
  clientSideThrottleTime: throttleTimeMs,
})

/** @throws KafkaJSProtocolError for a code that is an error */
export function checkCode(errorCode: number): void {
  if (errorCode !== 0) throw errorOfCode(errorCode)
}

/** @throws KafkaJSProtocolError of the first that has an error */
export function checkEach(entries: Iterable<{ readonly errorCode: number }>): void {
  for (const { errorCode } of entries) checkCode(errorCode)
}

/** null stays; everything else that is no Buffer goes as text. */
export const bytesOf = (value: unknown): Buffer | null =>
  value === null || value === undefined ? null : Buffer.isBuffer(value) ? value : Buffer.from(String(value))

export const inOrderOfTopic = <T extends { readonly topic: string }>(entries: readonly T[]): T[] =>
  [...entries].sort((a, b) => a.topic.localeCompare(b.topic))

/** What a call has thrown as kafkajs throws it. */
export function callErrorOf(error: unknown, api: Api): Error {
  if (error instanceof UnsupportedVersionError) {
    return new KafkaJSServerDoesNotSupportApiKey(error.message, { apiKey: api.key, apiName: apiNameOf(api) })
  }
  if (error instanceof KafkaError) return errorOfCode(error.code, error.message)
  return kafkaJSErrorOf(error)
}
