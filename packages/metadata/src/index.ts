export type { FoundPartition, InternalTopicSetUp } from './adopted-topics.ts'
export * from './adoption.ts'
export * from './cluster.ts'
export * from './configs.ts'
export type { BrokerChannel, ControlApi } from './controller/broker-channel.ts'
export { Controller } from './controller/controller.ts'
export type { ControllerConfig, ControllerOptions } from './controller/controller-options.ts'
export type { NewPartitions } from './controller/create-partitions.ts'
export {
  type CreatedTopic,
  MAX_PARTITIONS_PER_REQUEST,
  type NewTopic,
  type TopicConfigValidator,
  type TopicDefaults,
  type TopicOutcome,
} from './controller/create-topics.ts'
export type { ElectionType } from './controller/leader-election.ts'
export * from './controller/topic-name.ts'
export * from './features.ts'
export type { FinalizedLevels } from './finalized-features.ts'
export { KraftState } from './kraft/kraft-state.ts'
export { raiseLeaderEpochs } from './leader-epochs.ts'
export * from './metadata-image.ts'
export { ProducerIdAllocator } from './producer-id-allocator.ts'
export { desanitize, sanitize } from './security-znodes.ts'
export { EmbeddedStore, type EmbeddedStoreOptions } from './store/embedded-store.ts'
export { STORE_FILE_NAMES } from './store/journal.ts'
export * from './store/metadata-store.ts'
export type { StoreFile, StoreFiles } from './store/store-files.ts'
export { type BrokerRegistration, type ConfigEntityType, DEFAULT_ENTITY, type Endpoint, type SecurityProtocol } from './znodes.ts'
