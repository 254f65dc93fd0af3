export * from './batch-builder.ts'
export * as batchHeader from './batch-header.ts'
export * from './control-records.ts'
export * from './convert.ts'
export type { KafkaRecord, RecordHeader } from './kafka-record.ts'
export type { OldMagic } from './message.ts'
export * from './read-records.ts'
export * from './record-batch.ts'
export * from './record-cursor.ts'
export { headersAt } from './record-headers.ts'
export type { OutputLimit } from './uncompress.ts'
export {
  type RecordError,
  type RecordRules,
  RecordValidationError,
  type ValidatedRecords,
  validateClientHeader,
  validateRecords,
} from './validate-records.ts'
