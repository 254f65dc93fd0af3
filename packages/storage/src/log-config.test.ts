import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { checkLogConfig, logConfig, logConfigText, resolveLogConfig } from './log-config.ts'

/** What Kafka 4.3 says of its topic configurations, a line each: name | type | default | valid values | importance | broker synonyms. */
const facts = readFileSync(new URL('../fixtures/topic-configs.txt', import.meta.url), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => line.split('|').map((field) => field.trim()))

test('the table has exactly the rows of Kafka 4.3, with its types, defaults, valid values and synonyms', () => {
  const rows = facts.map(([name = '', type, fallback, valid, importance, synonyms = '']) => ({
    name,
    type,
    defaultText: fallback === '""' ? '' : fallback,
    valid,
    importance,
    brokerNames: synonyms.split(',').flatMap((synonym) => synonym.trim().split(' ')[0] || []),
  }))
  const ours = [...logConfig.rows].map(([name, { type, defaultText, valid, importance, brokerNames }]) => ({
    name,
    type,
    defaultText,
    valid,
    importance,
    brokerNames: [...brokerNames],
  }))
  assert.deepEqual(ours, rows)
})

test("a topic's own value wins, then the broker's synonyms in order of precedence, then the default", () => {
  const broker = new Map([['log.retention.hours', '2']])
  const retention = (own?: string) =>
    resolveLogConfig(own === undefined ? new Map() : new Map([['retention.ms', own]]), (name) => broker.get(name))['retention.ms']
  assert.equal(retention(), 7_200_000)
  broker.set('log.retention.minutes', '3')
  assert.equal(retention(), 180_000)
  broker.set('log.retention.ms', '9')
  assert.equal(retention(), 9)
  assert.equal(retention('5'), 5)
  broker.clear()
  assert.equal(retention(), 604_800_000)
})

test('any negative retention time of the broker means no limit', () => {
  for (const name of ['log.retention.ms', 'log.retention.minutes', 'log.retention.hours'])
    assert.equal(
      logConfigText('retention.ms', new Map(), (asked) => (asked === name ? '-7' : undefined)),
      '-1',
    )
  assert.equal(
    logConfigText('segment.ms', new Map(), (name) => (name === 'log.roll.hours' ? '3' : undefined)),
    '10800000',
  )
})

test('lags that contradict each other are refused', () => {
  const config = resolveLogConfig(
    new Map([
      ['min.compaction.lag.ms', '100'],
      ['max.compaction.lag.ms', '50'],
    ]),
  )
  assert.throws(() => checkLogConfig(config), /conflict topic config setting min.compaction.lag.ms \(100\) > max.compaction.lag.ms \(50\)/)
})

test('throttled replicas are pairs, an asterisk or nothing', () => {
  const name = 'leader.replication.throttled.replicas'
  assert.deepEqual(logConfig.parse(name, '0:1, 1:2'), ['0:1', '1:2'])
  assert.deepEqual(logConfig.parse(name, '*'), ['*'])
  assert.throws(() => logConfig.parse(name, 'x'), /Invalid value \[x\] for configuration leader.replication.throttled.replicas: leader/)
})
