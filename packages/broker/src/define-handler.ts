import { type Api, KafkaError, type RequestOf, type ResponseInput } from '@tidelog/protocol'
import type { RequestContext } from './request-context.ts'

/** What a handler returns when the request has no reply: Produce with acks=0. */
export const noResponse = Symbol('noResponse')

export type HandlerResult<A extends Api> = ResponseInput<A> | typeof noResponse

/**
 * Turns one request into calls on the rooms below. A thrown KafkaError, or any other exception (logged with its stack and answered as
 * UNKNOWN_SERVER_ERROR), becomes `errorResponse`; without one the connection closes. `CloseConnection` closes it in any case.
 */
export type Handler<A extends Api> = (request: RequestOf<A>, context: RequestContext) => HandlerResult<A> | Promise<HandlerResult<A>>

export interface HandlerOptions<A extends Api> {
  /**
   * The reply that carries `errorCode` in every place this API has for one (each row of the request, or the reply's own field).
   * Left out: `{ errorCode }` when the response has such a field at its top, else the connection is closed, as Kafka does where no place is.
   */
  errorResponse?: (request: RequestOf<A>, errorCode: number, errorMessage: string | null, apiVersion: number) => ResponseInput<A>
  /**
   * The first version whose calls have taken their place in their partitions' queues by the time they return their promise: the connection's
   * next request may start if it is such a call too. Every other request waits until the ones before it are done, as in Kafka.
   */
  pipelinedFrom?: number
  /**
   * True when nothing that outlives the call refers to the request's bytes fields, the reply included: the frame's memory is then used again.
   * Left out, a handler may keep them.
   */
  keepsNoBytes?: boolean
}

export interface DefinedHandler<A extends Api = Api> extends HandlerOptions<A> {
  readonly api: A
  readonly handle: Handler<A>
}

export function defineHandler<A extends Api>(api: A, handle: Handler<A>, options: HandlerOptions<A> = {}): DefinedHandler<A> {
  return { ...options, api, handle }
}

/** Thrown by a handler to close the connection without a reply: what Kafka does on acks=0 with an error. */
export class CloseConnection extends Error {
  override readonly name = 'CloseConnection'
}

/** The code a failure is answered with. What is not a KafkaError is a defect of ours: it is logged with its stack. Source: faults.md X5. */
export function errorCodeOf(error: unknown, context: RequestContext): { errorCode: number; errorMessage: string | null } {
  if (error instanceof KafkaError) return { errorCode: error.code, errorMessage: error.message || null }
  if (error instanceof CloseConnection) throw error
  context.broker.logger.error('a handler failed', {
    api: context.apiName,
    apiVersion: context.apiVersion,
    clientId: context.clientId,
    peer: context.connection.remoteAddress,
    error,
  })
  return { errorCode: unknownServerErrorCode, errorMessage: null }
}
const unknownServerErrorCode = new KafkaError('UNKNOWN_SERVER_ERROR').code

/** Runs the work of one row of a request; its failure becomes `row` with that error's code, and the neighbouring rows carry on. */
export async function orErrorCode<Row extends object, Done extends object>(
  row: Row,
  context: RequestContext,
  work: () => Done | Promise<Done>,
): Promise<Done | (Row & { errorCode: number; errorMessage: string | null })> {
  try {
    return await work()
  } catch (error) {
    return { ...row, ...errorCodeOf(error, context) }
  }
}
