import type { TestContext } from 'node:test'
import type { Broker, BrokerOptions } from '@tidelog/broker'
import { connect } from '@tidelog/net'
import type { Api, RequestInput, ResponseOf } from '@tidelog/protocol'
import { startTestBroker } from './start-ephemeral-broker.ts'

/** Sends one request in that version and gives its answer. */
export type Call = <A extends Api>(api: A, version: number, request: RequestInput<A>) => Promise<ResponseOf<A>>

/** A connection without a client around it: what a test sends is what arrives. It is closed with the test. */
export async function connectForTest(t: TestContext, { host, port }: Pick<Broker, 'host' | 'port'>): Promise<Call> {
  const connection = await connect({ host, port, clientId: 'test', requestTimeoutMs: 10_000 })
  t.after(() => connection.close())
  return (api, version, request) => connection.send(api, version, request)
}

/** A test broker and a connection to it, both gone with the test. */
export async function startBrokerForTest(t: TestContext, options: BrokerOptions = {}): Promise<{ broker: Broker; call: Call }> {
  const broker = await startTestBroker(options)
  t.after(() => broker.close())
  return { broker, call: await connectForTest(t, broker) }
}
