export * from './log-config.ts'
