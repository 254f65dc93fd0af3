export { EmbeddedStore, type EmbeddedStoreOptions } from './store/embedded-store.ts'
export * from './store/metadata-store.ts'
export type { StoreFile, StoreFiles } from './store/store-files.ts'
