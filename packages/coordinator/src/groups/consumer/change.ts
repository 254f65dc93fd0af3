import type { ErrorName } from '@tidelog/protocol'
import type { GroupRecord } from '../group-record.ts'
import type { GroupStepBuilder } from '../group-step.ts'
import type { ConsumerRecord } from './consumer-record.ts'

/** Takes a record's effect back. */
export type Undo = () => void

/** Records that have been applied to a group and do not yet lie below the high watermark. */
export interface Change {
  /** To be appended; emptied when an earlier change of the group has failed, for then this one means nothing. */
  readonly records: GroupRecord[]
  readonly applied: readonly ConsumerRecord[]
  undos: Undo[]
  readonly onUndo: ((step: GroupStepBuilder) => void) | undefined
  failure: ErrorName | undefined
}
