export type { Codec } from './codec.ts'
export * from './define.ts'
export * from './json.ts'
export * from './types.ts'
