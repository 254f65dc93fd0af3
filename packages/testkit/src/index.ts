export * from './group-driver.ts'
export * from './manual-clock.ts'
export * from './start-ephemeral-broker.ts'
export * from './test-store.ts'
