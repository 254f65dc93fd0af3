export * from './group-driver.ts'
export * from './manual-clock.ts'
export * from './test-store.ts'
