import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Broker, type BrokerOptions, startBroker } from '@tidelog/broker'
import { silentLogger } from '@tidelog/core'

/**
 * Starts a broker inside this process: on a free port of 127.0.0.1, with its data in a temporary directory that goes when it closes.
 * Any number of them may run side by side.
 *
 *     const broker = await startBroker({ config: { 'num.partitions': '3' } })
 *     // … bootstrapServers: broker.bootstrapServers …
 *     await broker.close()          // or: await using broker = await startBroker()
 *
 * @param options.config Kafka's names, as in server.properties. `listeners` and `log.dirs` may be given too; a directory that was given
 * is kept.
 * @param options.logger Nothing is logged when absent.
 * @throws ConfigError that names a setting which cannot be.
 */
export async function startEphemeralBroker(options: BrokerOptions = {}): Promise<Broker> {
  const { config = {} } = options
  const isKept = config['log.dirs'] !== undefined || config['log.dir'] !== undefined
  const dir = isKept ? undefined : await mkdtemp(join(tmpdir(), 'tidelog-'))
  const remove = async () => {
    if (dir !== undefined) await rm(dir, { recursive: true, force: true, maxRetries: 3 })
  }
  const defaults: Record<string, string> = { listeners: 'PLAINTEXT://127.0.0.1:0', ...(dir === undefined ? {} : { 'log.dirs': dir }) }
  try {
    const broker = await startBroker({ logger: silentLogger, ...options, config: { ...defaults, ...config } })
    return removingOnClose(broker, remove)
  } catch (error) {
    await remove()
    throw error
  }
}

function removingOnClose(broker: Broker, remove: () => Promise<void>): Broker {
  let closing: Promise<void> | undefined
  const close = () => {
    closing ??= broker.close().finally(remove)
    return closing
  }
  const { nodeId, host, port, bootstrapServers, clusterId, config, closed } = broker
  return { nodeId, host, port, bootstrapServers, clusterId, config, closed, close, [Symbol.asyncDispose]: close }
}

/**
 * The same for tests: groups form without the delay that waits for more members, and `__consumer_offsets` and
 * `__transaction_state` have one partition, so that the first group of a test does not wait for fifty folders.
 */
export function startTestBroker(options: BrokerOptions = {}): Promise<Broker> {
  const quick = {
    'group.initial.rebalance.delay.ms': '0',
    'offsets.topic.num.partitions': '1',
    'transaction.state.log.num.partitions': '1',
  }
  return startEphemeralBroker({ ...options, config: { ...quick, ...options.config } })
}
