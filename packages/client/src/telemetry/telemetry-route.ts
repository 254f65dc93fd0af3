import { GetTelemetrySubscriptions } from '@tidelog/protocol'
import type { BrokerAddress, BrokerConnection } from '../cluster/broker-connection.ts'
import type { Cluster } from '../cluster/cluster.ts'

/**
 * Which broker hears of this client: one that is connected anyway and takes telemetry, the same for as long as it can be had (KIP-714). Questions, which it answers at
 * once, go over the connection that there is; metrics, with which its receiver may take its time, over one of their own.
 */
export class TelemetryRoute {
  readonly #cluster: Cluster
  #address: BrokerAddress | undefined

  constructor(cluster: Cluster) {
    this.#cluster = cluster
  }

  /** undefined: no broker that is connected takes telemetry. @throws DisconnectedError and others, when all connections were idle for too long and there is no other */
  async toAsk(): Promise<BrokerConnection | undefined> {
    const hadOne = this.#address !== undefined
    const connected = this.#choose()
    if (connected !== undefined || !hadOne) return connected
    await this.#cluster.anyConnection()
    return this.#choose()
  }

  /** undefined: nobody was asked. @throws as ConnectionPool.to, when no other broker that takes telemetry is connected either */
  async toPush(): Promise<BrokerConnection | undefined> {
    const { connections } = this.#cluster
    if (this.#address === undefined) return undefined
    try {
      return await connections.to(this.#address, 'telemetry')
    } catch (error) {
      if (this.#cluster.closed) throw error
      // Another broker knows the subscription as well.
      this.#address = undefined
      this.#choose()
      if (this.#address === undefined) throw error
      return connections.to(this.#address, 'telemetry')
    }
  }

  /** A connection that is open, for a last word. */
  atHand(): BrokerConnection | undefined {
    if (this.#address === undefined) return undefined
    const { connections } = this.#cluster
    return connections.openTo(this.#address, 'telemetry') ?? connections.openTo(this.#address, 'general')
  }

  /** The open connection to the broker chosen before, else to another that takes telemetry, which is the chosen one from now on. */
  #choose(): BrokerConnection | undefined {
    const { connections } = this.#cluster
    const before = this.#address
    const serving = connections.openFor('general').filter(([, connection]) => connection.serves(GetTelemetrySubscriptions))
    const [address] = serving.find(([address]) => address === before) ?? serving[0] ?? []
    this.#address = address
    return address === undefined ? undefined : connections.openTo(address, 'general')
  }
}
