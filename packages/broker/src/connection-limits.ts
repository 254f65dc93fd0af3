import type { Clock } from '@tidelog/core'
import type { BrokerConfig } from './config/broker-config.ts'

const MAX_DELAY_MS = 60_000

/** Who may connect: limits over all listeners of a broker, read from its live configuration. Source: KIP-402, KIP-612. */
export class ConnectionLimits {
  readonly #config: BrokerConfig
  readonly #clock: Clock
  readonly #byAddress = new Map<string, number>()
  #connections = 0
  /** When the next connection may be taken under `max.connection.creation.rate`. */
  #nextCreationMs = 0

  constructor(config: BrokerConfig, clock: Clock) {
    this.#config = config
    this.#clock = clock
  }

  /** Why one more connection from `address` is refused; undefined when it is taken. */
  refusal(address: string): string | undefined {
    const max = this.#config['max.connections']
    if (this.#connections >= max) return `max.connections=${max} are open`
    const maxHere = this.#maxOf(address)
    return (this.#byAddress.get(address) ?? 0) >= maxHere ? `max.connections.per.ip: ${maxHere} from ${address} are open` : undefined
  }

  opened(address: string): void {
    this.#connections++
    this.#byAddress.set(address, (this.#byAddress.get(address) ?? 0) + 1)
  }

  closed(address: string): void {
    this.#connections--
    const left = (this.#byAddress.get(address) ?? 1) - 1
    if (left === 0) this.#byAddress.delete(address)
    else this.#byAddress.set(address, left)
  }

  /** Ms until a connection that comes now may be read. A second's worth may come at once. */
  creationDelayMs(): number {
    const rate = this.#config['max.connection.creation.rate']
    const nowMs = this.#clock.monotonic()
    this.#nextCreationMs = Math.max(this.#nextCreationMs, nowMs - 1000) + 1000 / Math.max(1, rate)
    return Math.min(MAX_DELAY_MS, Math.max(0, this.#nextCreationMs - nowMs))
  }

  #maxOf(address: string): number {
    for (const entry of this.#config['max.connections.per.ip.overrides'].split(',')) {
      const colon = entry.lastIndexOf(':')
      if (colon > 0 && entry.slice(0, colon).trim() === address) return Number(entry.slice(colon + 1))
    }
    return this.#config['max.connections.per.ip']
  }
}
