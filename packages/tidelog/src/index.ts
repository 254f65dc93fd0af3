/**
 * What users of the package `tidelog` see: a broker in their process, and the clients.
 * The command `tidelog` is bin/tidelog, which loads the room cli by itself.
 */
export type { Broker, BrokerOptions } from '@tidelog/broker'
export * from '@tidelog/client'
export { startEphemeralBroker as startBroker, startTestBroker } from '@tidelog/testkit'
