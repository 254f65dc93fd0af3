export * from './errors.ts'
export * from './serde/serde.ts'
