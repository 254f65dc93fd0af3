import type { ErrorName } from '@tidelog/protocol'
import type { GroupRecord } from '../group-record.ts'
import type { GroupStepBuilder } from '../group-step.ts'
import type { Change } from './change.ts'
import type { ConsumerGroup } from './consumer-group.ts'
import type { ConsumerRecord } from './consumer-record.ts'

/**
 * Applies records ahead of their append. When one append of a group fails, all its later changes go with it: they were made from a state
 * that never came to be.
 */
export class GroupChanges {
  readonly #onUndone: (step: GroupStepBuilder, group: ConsumerGroup) => void

  /** @param onUndone The group's state is what it was before a change that failed. */
  constructor(onUndone: (step: GroupStepBuilder, group: ConsumerGroup) => void) {
    this.#onUndone = onUndone
  }

  /**
   * @param change.before Records of what the group takes the place of; in the same write, and applied by the caller.
   * @param change.onUndo Takes back what the caller has done besides.
   * @param settled Without `failure` once the records, and those of every earlier change, lie below the high watermark.
   */
  apply(
    step: GroupStepBuilder,
    group: ConsumerGroup,
    change: {
      before?: readonly GroupRecord[]
      records: readonly ConsumerRecord[]
      after?: readonly GroupRecord[]
      onUndo?: (step: GroupStepBuilder) => void
    },
    settled: (step: GroupStepBuilder, failure: ErrorName | undefined) => void,
  ): void {
    const { before = [], records, after = [], onUndo } = change
    const undos = records.map((record) => group.apply(record))
    const pending: Change = { records: [...before, ...records, ...after], applied: records, undos, onUndo, failure: undefined }
    group.unsettled.push(pending)
    step.write(pending.records, (later, failure) => {
      if (pending.failure === undefined) {
        if (failure === undefined) {
          group.unsettled.shift()
          group.isCommitted = true
        } else this.#undo(later, group, failure)
      }
      settled(later, pending.failure)
    })
  }

  #undo(step: GroupStepBuilder, group: ConsumerGroup, failure: ErrorName): void {
    for (const change of group.unsettled.reverse()) {
      change.failure = failure
      change.records.length = 0
      for (const undo of change.undos.reverse()) undo()
      change.onUndo?.(step)
    }
    group.unsettled.length = 0
    this.#onUndone(step, group)
  }
}

/** What `read` sees of the group is what lies below the high watermark. */
export function readCommitted<T>(group: ConsumerGroup, read: (group: ConsumerGroup) => T): T {
  if (group.unsettled.length === 0) return read(group)
  for (const change of group.unsettled.toReversed()) for (const undo of change.undos.toReversed()) undo()
  const result = read(group)
  for (const change of group.unsettled) change.undos = change.applied.map((record) => group.apply(record))
  return result
}
