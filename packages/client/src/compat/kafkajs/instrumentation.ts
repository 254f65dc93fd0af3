import { EventEmitter } from 'node:events'
import type { Clock } from '@tidelog/core'
import type { Exchange, ExchangeObserver } from '@tidelog/net'
import { FindCoordinator } from '@tidelog/protocol'
import { KafkaJSNonRetriableError } from './errors.ts'
import type { InstrumentationEvent, Listen, Logger, NetworkEvents } from './types-client.ts'

/** The events that every client has, under its own name. */
export const networkEvents = <Name extends string>(name: Name): NetworkEvents<Name> => ({
  CONNECT: `${name}.connect`,
  DISCONNECT: `${name}.disconnect`,
  REQUEST: `${name}.network.request`,
  REQUEST_TIMEOUT: `${name}.network.request_timeout`,
  REQUEST_QUEUE_SIZE: `${name}.network.request_queue_size`,
})

type PayloadOf<Event> = Event extends InstrumentationEvent<infer Payload> ? Payload : never

/** Tells a client's listeners what happens; one that fails, or whose promise does, is logged and harms nobody. */
export class Instrumentation<ByName extends object> {
  readonly #names: ReadonlySet<string>
  readonly #emitter = new EventEmitter()
  readonly #logger: Logger
  readonly #clock: Clock
  #nextId = 0

  constructor(events: object, logger: Logger, clock: Clock) {
    this.#names = new Set(Object.values(events) as string[])
    this.#emitter.setMaxListeners(0)
    this.#logger = logger
    this.#clock = clock
  }

  /** @throws KafkaJSNonRetriableError for an event that there is not */
  readonly on: Listen<ByName> = (eventName, listener) => {
    const name = String(eventName)
    if (!this.#names.has(name)) {
      throw new KafkaJSNonRetriableError(`there is no event ${name}, only ${[...this.#names].join(', ')}`)
    }
    const call = async (event: Parameters<typeof listener>[0]) => {
      try {
        await listener(event)
      } catch (error) {
        const { message, stack } = error instanceof Error ? error : new Error(String(error))
        this.#logger.error(`a listener failed: ${message}`, { eventName: name, stack })
      }
    }
    this.#emitter.on(name, call)
    return () => void this.#emitter.off(name, call)
  }

  /** Is there anybody to tell? */
  hears(eventName: keyof ByName & string): boolean {
    return this.#emitter.listenerCount(eventName) > 0
  }

  emit<E extends keyof ByName & string>(eventName: E, payload: PayloadOf<ByName[E]>): void {
    if (!this.hears(eventName)) return
    const event = { id: this.#nextId++, type: eventName, timestamp: this.#clock.now(), payload }
    this.#emitter.emit(eventName, event)
  }
}

/** As kafkajs calls it; the one whose name is another by now finds the coordinators of transactions, too. */
export const apiNameOf = ({ key, name }: { readonly key: number; readonly name: string }): string =>
  key === FindCoordinator.key ? 'GroupCoordinator' : name

/** Requests on their way as kafkajs's events. */
export function networkObserver(
  events: NetworkEvents<string>,
  emit: (eventName: string, payload: object) => void,
  more: ExchangeObserver = {},
): ExchangeObserver {
  let clientId = ''
  return {
    sent(exchange) {
      clientId = exchange.clientId ?? ''
      more.sent?.(exchange)
    },
    answered(exchange, answer) {
      emit(events.REQUEST, { ...requestOf(exchange), size: answer.bytes, duration: answer.nowMs - exchange.sentMs })
      more.answered?.(exchange, answer)
    },
    timedOut(exchange) {
      emit(events.REQUEST_TIMEOUT, requestOf(exchange))
      more.timedOut?.(exchange)
    },
    waiting({ host, port, size }) {
      emit(events.REQUEST_QUEUE_SIZE, { broker: `${host}:${port}`, clientId, queueSize: size })
    },
  }
}

function requestOf({ api, version, correlationId, clientId, host, port, createdMs, sentMs }: Exchange) {
  return {
    apiKey: api.key,
    apiName: apiNameOf(api),
    apiVersion: version,
    broker: `${host}:${port}`,
    clientId: clientId ?? '',
    correlationId,
    createdAt: createdMs,
    sentAt: sentMs,
    pendingDuration: sentMs < 0 ? 0 : sentMs - createdMs,
  }
}
