import type { Cluster } from '../cluster/cluster.ts'
import { Coordinator } from '../cluster/coordinator.ts'

/** The broker that coordinates a group. */
export class GroupCoordinator extends Coordinator {
  readonly groupId: string

  constructor(cluster: Cluster, groupId: string) {
    super(cluster, () => cluster.findGroupCoordinator(groupId))
    this.groupId = groupId
  }
}
