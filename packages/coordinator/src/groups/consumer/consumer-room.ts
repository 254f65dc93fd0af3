import type { Random } from '@tidelog/core'
import type { DeadlineHeap } from '../../steps/deadline-heap.ts'
import type { Groups } from '../group.ts'
import type { GroupCoordinatorConfig } from '../group-config.ts'
import type { Caller } from '../group-replies.ts'
import type { GroupStepBuilder } from '../group-step.ts'
import type { ConsumerGroup } from './consumer-group.ts'
import type { GroupChanges } from './group-changes.ts'
import type { MemberClocks } from './member-clocks.ts'
import type { TopicHashes, TopicsView } from './topics.ts'

/** May whoever sent the request know of a topic? */
export type MayDescribe = (topic: string) => boolean

/** Who sent a ConsumerGroupHeartbeat. */
export interface ConsumerCaller extends Caller {
  readonly mayDescribe: MayDescribe
}

/** What those who work on the consumer groups of one coordinator partition share. */
export interface ConsumerRoom {
  readonly config: GroupCoordinatorConfig
  readonly groups: Groups
  readonly deadlines: DeadlineHeap<GroupStepBuilder>
  readonly random: Random
  readonly topics: TopicsView
  readonly hashes: TopicHashes
  readonly changes: GroupChanges
  readonly clocks: MemberClocks
  /** False once the group has been deleted, has changed its protocol, or the partition is unloaded. */
  isCurrent(group: ConsumerGroup): boolean
}
