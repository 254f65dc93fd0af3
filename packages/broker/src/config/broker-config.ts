import { type ConfigOf, configTable } from '@tidelog/core'
import { groupRows } from './rows/group-rows.ts'
import { kraftRows } from './rows/kraft-rows.ts'
import { logRows } from './rows/log-rows.ts'
import { networkRows } from './rows/network-rows.ts'
import { oauthRows } from './rows/oauth-rows.ts'
import { remoteRows } from './rows/remote-rows.ts'
import { replicationRows } from './rows/replication-rows.ts'
import { securityRows } from './rows/security-rows.ts'
import { serverRows } from './rows/server-rows.ts'
import { shareGroupRows } from './rows/share-group-rows.ts'
import { tlsRows } from './rows/tls-rows.ts'
import { transactionRows } from './rows/transaction-rows.ts'
import { zookeeperRows } from './rows/zookeeper-rows.ts'

/** Every configuration of Kafka 4.3's brokers, and those of 3.9's that 4.3 dropped. */
export const brokerConfig = configTable({
  ...serverRows,
  ...networkRows,
  ...logRows,
  ...groupRows,
  ...transactionRows,
  ...replicationRows,
  ...securityRows,
  ...tlsRows,
  ...oauthRows,
  ...shareGroupRows,
  ...remoteRows,
  ...kraftRows,
  ...zookeeperRows,
})

/**
 * A broker's effective configuration, by Kafka's names. Longs beyond 2^53−1 read as 2^53−1.
 * The object is live: a dynamic change shows in it at once, so read a value where it is needed instead of keeping it.
 */
export type BrokerConfig = ConfigOf<typeof brokerConfig>
export type BrokerConfigName = keyof BrokerConfig & string

/** Rates that Kafka knows as dynamic configurations only: shown when they are set, and settable for all brokers too. */
export const throttles: ReadonlySet<string> = new Set([
  'follower.replication.throttled.rate',
  'leader.replication.throttled.rate',
  'replica.alter.log.dirs.io.max.bytes.per.second',
])

/** Rows that DescribeConfigs leaves out until they are set: what 4.3 dropped, and the throttles. */
export const shownWhenSet: ReadonlySet<string> = new Set([...Object.keys(zookeeperRows), ...throttles])
