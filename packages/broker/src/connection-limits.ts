import type { Clock } from '@tidelog/core'
import type { BrokerConfig } from './config/broker-config.ts'
import { limitOf } from './config/listener-values.ts'

const MAX_DELAY_MS = 60_000

/** Who may connect: limits of each listener, and over all of them, read from a broker's live configuration. Source: KIP-402, KIP-612. */
export class ConnectionLimits {
  readonly #config: BrokerConfig
  readonly #clock: Clock
  readonly #ofListeners: ReadonlyMap<string, string>
  readonly #byAddress = new Map<string, number>()
  readonly #byListener = new Map<string, number>()
  #connections = 0
  /** When the next connection may be taken under a `max.connection.creation.rate`, by listener name; by '' over all of them. */
  readonly #nextCreation = new Map<string, { readonly rate: number; readonly atMs: number }>()

  /** @param ofListeners Live: values of single listeners, by their whole names. */
  constructor({ config, ofListeners, clock }: { config: BrokerConfig; ofListeners: ReadonlyMap<string, string>; clock: Clock }) {
    this.#config = config
    this.#ofListeners = ofListeners
    this.#clock = clock
  }

  /** Why one more connection from `address` is refused; undefined when it is taken. */
  refusal(address: string, listenerName: string): string | undefined {
    const max = this.#config['max.connections']
    if (this.#connections >= max) return `max.connections=${max} are open`
    const maxOfListener = limitOf(this.#ofListeners, listenerName, 'max.connections') ?? max
    if ((this.#byListener.get(listenerName) ?? 0) >= maxOfListener) return `max.connections=${maxOfListener} of ${listenerName} are open`
    const maxHere = this.#maxOf(address)
    return (this.#byAddress.get(address) ?? 0) >= maxHere ? `max.connections.per.ip: ${maxHere} from ${address} are open` : undefined
  }

  opened(address: string, listenerName: string): void {
    this.#connections++
    this.#byAddress.set(address, (this.#byAddress.get(address) ?? 0) + 1)
    this.#byListener.set(listenerName, (this.#byListener.get(listenerName) ?? 0) + 1)
  }

  closed(address: string, listenerName: string): void {
    this.#connections--
    oneLess(this.#byAddress, address)
    oneLess(this.#byListener, listenerName)
  }

  /** Ms until a connection that comes now may be read. A second's worth may come at once. */
  creationDelayMs(listenerName: string): number {
    const ofBroker = this.#delayMs('', this.#config['max.connection.creation.rate'])
    const rate = limitOf(this.#ofListeners, listenerName, 'max.connection.creation.rate')
    return rate === undefined ? ofBroker : Math.max(ofBroker, this.#delayMs(listenerName, rate))
  }

  #delayMs(key: string, rate: number): number {
    const nowMs = this.#clock.monotonic()
    const last = this.#nextCreation.get(key)
    // What has come at another rate is not held against the next one.
    const fromMs = last?.rate === rate ? Math.max(last.atMs, nowMs - 1000) : nowMs - 1000
    const atMs = fromMs + 1000 / Math.max(1, rate)
    this.#nextCreation.set(key, { rate, atMs })
    return Math.min(MAX_DELAY_MS, Math.max(0, atMs - nowMs))
  }

  #maxOf(address: string): number {
    for (const entry of this.#config['max.connections.per.ip.overrides'].split(',')) {
      const colon = entry.lastIndexOf(':')
      if (colon > 0 && entry.slice(0, colon).trim() === address) return Number(entry.slice(colon + 1))
    }
    return this.#config['max.connections.per.ip']
  }
}

function oneLess(counts: Map<string, number>, key: string): void {
  const left = (counts.get(key) ?? 1) - 1
  if (left === 0) counts.delete(key)
  else counts.set(key, left)
}
