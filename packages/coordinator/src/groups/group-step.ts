import type { Deadline } from '../steps/deadline-heap.ts'
import { type Step, StepBuilder } from '../steps/step.ts'
import type { GroupRecord } from './group-record.ts'

/** A step of the group coordinator: its writes go to __consumer_offsets. */
export type GroupStep = Step<GroupRecord>
export type GroupStepBuilder = StepBuilder<GroupRecord>
export const GroupStepBuilder = StepBuilder<GroupRecord>
export type GroupDeadline = Deadline<GroupStepBuilder>
