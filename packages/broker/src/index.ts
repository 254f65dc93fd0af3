export { type Broker, type BrokerOptions, BrokerStartError, startBroker } from './broker.ts'
export { type BrokerConfig, type BrokerConfigName, brokerConfig } from './config/broker-config.ts'
export { type Endpoint, type Listeners, listenersOf, type SecurityProtocol } from './config/listeners.ts'
export { logDirsOf, type ParsedBrokerConfig, parseBrokerConfig } from './config/parse-broker-config.ts'
