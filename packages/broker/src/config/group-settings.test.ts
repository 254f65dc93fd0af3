import assert from 'node:assert/strict'
import test from 'node:test'
import { KafkaError } from '@tidelog/protocol'
import type { BrokerConfig } from './broker-config.ts'
import { alteredGroupConfigs, consumerGroupSettings } from './group-settings.ts'
import { parseBrokerConfig } from './parse-broker-config.ts'

const broker = (overrides: Record<string, string> = {}): BrokerConfig => parseBrokerConfig(overrides).config
const set = (configs: Record<string, string>, current = new Map<string, string>(), config = broker()) => {
  const ops = Object.entries(configs).map(([name, value]) => ({ name, operation: 'set' as const, value }))
  return alteredGroupConfigs(current, ops, config)
}
const refused = (configs: Record<string, string>, message: string) =>
  assert.throws(
    () => set(configs),
    (error) => error instanceof KafkaError && error.errorName === 'INVALID_CONFIG' && error.message === message,
  )

test('a group may set what the broker has bounds for, within them', () => {
  assert.deepEqual([...set({ 'consumer.session.timeout.ms': '50000' })], [['consumer.session.timeout.ms', '50000']])
  refused(
    { 'consumer.session.timeout.ms': '44999' },
    'consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms',
  )
  refused(
    { 'consumer.session.timeout.ms': '60001' },
    'consumer.session.timeout.ms must be less than or equal to group.consumer.max.session.timeout.ms',
  )
  refused(
    { 'consumer.heartbeat.interval.ms': '4999' },
    'consumer.heartbeat.interval.ms must be greater than or equal to group.consumer.min.heartbeat.interval.ms',
  )
  refused({ 'consumer.nonsense': '1' }, 'Unknown group config name: consumer.nonsense')
  const kept = set({ 'consumer.session.timeout.ms': '50000' })
  assert.equal(alteredGroupConfigs(kept, [{ name: 'consumer.session.timeout.ms', operation: 'delete', value: null }], broker()).size, 0)
})

test("a group's own configurations go before the broker's, and stay within bounds that have changed since", () => {
  const own = new Map([['consumer.session.timeout.ms', '50000']])
  assert.deepEqual(consumerGroupSettings(own, broker()), {
    sessionTimeoutMs: 50_000,
    heartbeatIntervalMs: 5000,
    assignmentIntervalMs: 1000,
  })
  const lowered = broker({ 'group.consumer.max.session.timeout.ms': '48000' })
  assert.equal(consumerGroupSettings(own, lowered).sessionTimeoutMs, 48_000)
  assert.equal(consumerGroupSettings(new Map([['consumer.session.timeout.ms', 'x']]), broker()).sessionTimeoutMs, 45_000)
})
