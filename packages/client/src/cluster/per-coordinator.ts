import type { BrokerConnection } from './broker-connection.ts'
import type { Cluster, CoordinatorType, RetryOptions } from './cluster.ts'
import type { Outcome } from './outcome.ts'
import { perNode } from './per-node.ts'

/**
 * Sends each group, or transactional id, to its coordinator, one request a broker, and again, to wherever its coordinator is by then, what failed
 * retriably.
 * @param send Answers for every key it was given; a key without an answer is sent again.
 * @returns An outcome for every key, in order. Only an aborted signal and close() make it throw.
 */
export function perCoordinator<V>(
  cluster: Cluster,
  type: CoordinatorType,
  keys: readonly string[],
  options: RetryOptions,
  send: (connection: BrokerConnection, keys: readonly string[], nodeId: number) => Promise<ReadonlyMap<string, Outcome<V>>>,
): Promise<Map<string, Outcome<V>>> {
  return perNode(cluster, keys, options, {
    purpose: 'general',
    nameOf: (key) => `${type} ${key}`,
    async locate(pending, failed) {
      const byNode = new Map<number, string[]>()
      for (const [key, found] of await cluster.findCoordinators(type, pending, options)) {
        if (found.error !== undefined) failed(key, found.error)
        else {
          const group = byNode.get(found.value)
          if (group === undefined) byNode.set(found.value, [key])
          else group.push(key)
        }
      }
      return byNode
    },
    send,
  })
}
