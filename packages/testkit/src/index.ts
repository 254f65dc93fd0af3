export * from './group-driver.ts'
export * from './manual-clock.ts'
