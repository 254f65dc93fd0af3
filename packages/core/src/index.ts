export * from './bytes.ts'
