import type { BrokerConnection } from '../cluster/broker-connection.ts'
import type { RetryOptions } from '../cluster/cluster.ts'
import type { Outcome } from '../cluster/outcome.ts'
import { BrokerError, type ClientError, hasCode, isRetriable } from '../errors.ts'
import type { WaitOptions } from '../wait.ts'
import type { AdminContext } from './admin-client.ts'

/** One request to the controller, which is looked for anew when it has moved or gone. */
export async function askController<T>(
  { cluster }: AdminContext,
  options: WaitOptions,
  request: (connection: BrokerConnection) => Promise<T>,
): Promise<T> {
  try {
    return await request(await cluster.controllerConnection(options))
  } catch (error) {
    if (hasCode(error, 'NOT_CONTROLLER', 'DISCONNECTED')) await cluster.refresh(options)
    throw error
  }
}

/** As `askController`, again while errors are retriable. */
export const onController = <T>(
  context: AdminContext,
  retry: RetryOptions,
  request: (connection: BrokerConnection) => Promise<T>,
): Promise<T> => context.cluster.retry(retry, () => askController(context, retry, request))

/** What does not exist will not come to exist by asking again; a controller that has moved will be found. */
const isRetriableNow = (error: ClientError): boolean =>
  isRetriable(error) && !hasCode(error, 'UNKNOWN_TOPIC_OR_PARTITION', 'UNKNOWN_TOPIC_ID')

/**
 * One outcome an item, in order: asked together, and asked again for the items that may yet succeed.
 * @param nameOf Names an item in errors.
 * @param ask Answers for every item it is given, through `askController` or a broker of its choice; once, for asking again is done here.
 * @throws When nothing could be asked, and there is no outcome of any item.
 */
export async function perItem<I, V>(
  { cluster }: AdminContext,
  items: readonly I[],
  retry: RetryOptions,
  nameOf: (item: I) => string,
  ask: (pending: readonly I[]) => Promise<ReadonlyMap<I, Outcome<V>>>,
): Promise<Map<I, Outcome<V>>> {
  const outcomes = new Map<I, Outcome<V>>()
  let pending = [...new Set(items)]
  if (pending.length === 0) return outcomes
  let lastFailure: ClientError | undefined
  try {
    await cluster.retry(retry, async () => {
      const answers = await ask(pending)
      for (const item of pending) {
        outcomes.set(item, answers.get(item) ?? { error: new BrokerError(-1, nameOf(item), "the broker's answer leaves it out") })
      }
      pending = pending.filter((item) => {
        const { error } = outcomes.get(item)!
        return error !== undefined && isRetriableNow(error) && (retry.retryIf?.(error) ?? true)
      })
      lastFailure = pending.length === 0 ? undefined : outcomes.get(pending[0]!)?.error
      if (lastFailure === undefined) return
      await cluster.refresh(retry)
      throw lastFailure
    })
  } catch (error) {
    // The items that could not be helped keep their own errors, which say more than that time is up.
    if (lastFailure === undefined || retry.signal?.aborted || cluster.closed) throw error
  }
  return outcomes
}

/** The outcome of a row that has Kafka's error fields. */
export function outcomeOf<V>(
  context: string,
  { errorCode, errorMessage = null }: { readonly errorCode: number; readonly errorMessage?: string | null },
  value: () => V,
): Outcome<V> {
  return errorCode === 0 ? { value: value() } : { error: new BrokerError(errorCode, context, errorMessage) }
}
