import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { ConfigError, parseProperties } from '@tidelog/core'
import { listenersOf } from './listeners.ts'
import { logDirsOf } from './log-dirs-config.ts'
import { parseBrokerConfig } from './parse-broker-config.ts'

const sample = (file: string) => parseProperties(readFileSync(new URL(`../../fixtures/configs/${file}`, import.meta.url)))

const refused = (name: string, properties: Record<string, string>, message: RegExp) =>
  assert.throws(
    () => parseBrokerConfig(properties),
    (error) => error instanceof ConfigError && error.configName === name && error.message.includes(name) && message.test(error.message),
  )

test('without a file it is broker 1 on 127.0.0.1:9092 with its data in ./tidelog-data', () => {
  const { config, warnings } = parseBrokerConfig({})
  assert.equal(config['node.id'], 1)
  assert.deepEqual(logDirsOf(config), ['./tidelog-data'])
  const plaintext = { listenerName: 'PLAINTEXT', securityProtocol: 'PLAINTEXT', host: '127.0.0.1', port: 9092 }
  assert.deepEqual(listenersOf(config), { listeners: [plaintext], advertised: [plaintext], interBrokerListenerName: 'PLAINTEXT' })
  assert.deepEqual(warnings, [])
})

test('a broker that is alone has internal topics of one replica, whatever the file says', () => {
  const { config, warnings } = parseBrokerConfig({ 'offsets.topic.replication.factor': '3' })
  assert.equal(config['offsets.topic.replication.factor'], 1)
  assert.equal(config['transaction.state.log.replication.factor'], 1)
  assert.equal(config['transaction.state.log.min.isr'], 1)
  assert.deepEqual(warnings, ['offsets.topic.replication.factor=3 is taken as 1: this broker is alone'])
  refused('offsets.topic.replication.factor', { 'offsets.topic.replication.factor': '0' }, /Value must be at least 1/)
})

for (const file of ['kafka-4.3-server.properties', 'kafka-3.9-kraft.properties']) {
  test(`${file} starts, and the controllers' listener is passed over with a note`, () => {
    const { config, warnings } = parseBrokerConfig(sample(file))
    const { listeners, advertised } = listenersOf(config)
    assert.deepEqual(listeners, [{ listenerName: 'PLAINTEXT', securityProtocol: 'PLAINTEXT', host: '', port: 9092 }])
    assert.deepEqual(advertised, [{ listenerName: 'PLAINTEXT', securityProtocol: 'PLAINTEXT', host: 'localhost', port: 9092 }])
    assert.deepEqual(logDirsOf(config), ['/tmp/kraft-combined-logs'])
    assert.deepEqual(warnings, ["listeners: CONTROLLER://:9093 belongs to Kafka's controllers and is not opened"])
  })
}

test('kafka-3.9-zookeeper.properties starts under its broker.id, and says that ZooKeeper is not asked', () => {
  const { config, entries, warnings } = parseBrokerConfig(sample('kafka-3.9-zookeeper.properties'))
  assert.equal(config['node.id'], 0)
  assert.equal(entries.get('node.id'), '0')
  assert.equal(config['group.initial.rebalance.delay.ms'], 0)
  assert.equal(warnings.length, 1)
  assert.match(warnings[0]!, /^zookeeper.connect has no effect: /)
})

test('node.id and broker.id are one number', () => {
  assert.equal(parseBrokerConfig({ 'broker.id': '7' }).config['node.id'], 7)
  assert.equal(parseBrokerConfig({ 'node.id': '7' }).config['broker.id'], 7)
  assert.equal(parseBrokerConfig({ 'broker.id': '-1' }).config['node.id'], 1)
  refused('node.id', { 'node.id': '1', 'broker.id': '2' }, /must set `node.id` to the same value as `broker.id`/)
})

test('an unknown name is a warning, also where JavaScript has a property of that name', () => {
  const { warnings } = parseBrokerConfig(
    new Map([
      ['log.retention.sm', '1'],
      ['__proto__', '1'],
      ['listener.name.plaintext.max.connections', '1'],
    ]),
  )
  assert.deepEqual(
    warnings,
    ['log.retention.sm', '__proto__'].map((name) => `${name} is not a configuration of a Kafka broker: ignored`),
  )
})

test('an invalid value is an error that names it', () => {
  refused('num.partitions', { 'num.partitions': '0' }, /^Invalid value 0 for configuration num.partitions: Value must be at least 1$/)
  refused('log.dirs', { 'log.dirs': '' }, /At least one log directory/)
  refused('log.dirs', { 'log.dirs': 'a,,b' }, /must not be empty/)
  refused('log.retention.hours', { 'log.retention.hours': '0' }, /unlimited \(-1\)/)
  refused('log.roll.ms', { 'log.roll.ms': '0' }, /greater than or equal to 1/)
  refused('log.roll.jitter.ms', { 'log.roll.jitter.ms': '-1' }, /greater than or equal to 0/)
  refused('max.connections.per.ip', { 'max.connections.per.ip': '0' }, /only if max.connections.per.ip.overrides/)
  refused('max.connections.per.ip.overrides', { 'max.connections.per.ip.overrides': '10.0.0.1' }, /HOST:COUNT/)
  refused('max.connections', { 'listener.name.plaintext.max.connections': 'x' }, /Not a number/)
  refused('cordoned.log.dirs', { 'log.dirs': '/a,/b', 'cordoned.log.dirs': '/a,/c' }, /Missing entries : \/c$/)
  refused('cordoned.log.dirs', { 'log.dirs': '/a', 'cordoned.log.dirs': '/a,*' }, /set to \*, it must not contain other values/)
  refused('queued.max.request.bytes', { 'queued.max.request.bytes': '10' }, /socket.request.max.bytes/)
  refused('group.max.session.timeout.ms', { 'group.max.session.timeout.ms': '10' }, /group.min.session.timeout.ms/)
  refused('offsets.topic.compression.codec', { 'offsets.topic.compression.codec': '9' }, /Unknown compression type id: 9/)
})

test('listeners are NAME://HOST:PORT with known names, and everything else is refused', () => {
  const endpoints = (listeners: string) =>
    listenersOf(parseBrokerConfig({ listeners }).config).listeners.map(({ host, port }) => `${host} ${port}`)
  assert.deepEqual(endpoints('PLAINTEXT://[::1]:0'), ['::1 0'])
  assert.deepEqual(endpoints('plaintext://my-host.example:65535'), ['my-host.example 65535'])
  for (const text of ['9092', 'PLAINTEXT://x', 'PLAINTEXT://x:70000', 'PLAINTEXT://x:y', 'PLAINTEXT://x/y:1', 'OTHER://x:1', ''])
    refused('listeners', { listeners: text }, /listeners/)
  refused('listeners', { listeners: 'PLAINTEXT://a:1,PLAINTEXT://a:2' }, /different name/)
  refused(
    'listeners',
    { listeners: 'PLAINTEXT://a:1,INNER://a:1', 'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,INNER:PLAINTEXT' },
    /different port/,
  )
  refused('listener.security.protocol.map', { 'listener.security.protocol.map': 'PLAINTEXT:NOISE' }, /Invalid security protocol `NOISE`/)
  refused('listener.security.protocol.map', { 'listener.security.protocol.map': 'PLAINTEXT' }, /NAME:PROTOCOL/)
  refused('advertised.listeners', { 'advertised.listeners': 'SSL://a:1' }, /must be equal to or a subset of the ones defined in listeners/)
  refused('advertised.listeners', { 'advertised.listeners': 'PLAINTEXT://0.0.0.0:9092' }, /nonroutable/)
  refused(
    'inter.broker.listener.name',
    { 'inter.broker.listener.name': 'INNER' },
    /must be a listener name defined in advertised.listeners/,
  )
})

test('what would leave a broker open, or be something else than asked for, does not start', () => {
  refused(
    'listeners',
    { listeners: 'SASL_PLAINTEXT://127.0.0.1:9092', 'security.inter.broker.protocol': 'SASL_PLAINTEXT' },
    /only PLAINTEXT is served/,
  )
  refused('authorizer.class.name', { 'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer' }, /no authorizer/)
  refused('process.roles', { 'process.roles': 'controller' }, /needs no separate controllers/)
  refused('remote.log.storage.system.enable', { 'remote.log.storage.system.enable': 'true' }, /tiered storage/)
})
