export * from './consumer-protocol.ts'
export * from './group-metadata-record.ts'
export * from './metadata-records.ts'
export * from './offset-commit-record.ts'
