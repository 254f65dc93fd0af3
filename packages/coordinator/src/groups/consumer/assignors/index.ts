import type { Assignor } from './assignor.ts'
import { range } from './range.ts'
import { uniform } from './uniform.ts'

export type { AssignedMember, Assignor, GroupSpec } from './assignor.ts'

/** Server-side assignors by the names that clients and group.consumer.assignors use. */
export const assignors: ReadonlyMap<string, Assignor> = new Map([
  ['uniform', uniform],
  ['range', range],
])
