import type { ClassicGroup } from './classic/classic-group.ts'
import type { ConsumerGroup } from './consumer/consumer-group.ts'

/** A group speaks the classic protocol, in which a member assigns, or the consumer protocol (KIP-848), in which the coordinator does. */
export type Group = ClassicGroup | ConsumerGroup

/** The groups of one coordinator partition, by id. A group that changes its protocol is another one in the same place. */
export type Groups = Map<string, Group>
