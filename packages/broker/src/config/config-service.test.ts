import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { silentLogger, systemRandom } from '@tidelog/core'
import { ClusterConfigs, DEFAULT_ENTITY, type MetadataStore, openCluster } from '@tidelog/metadata'
import { KafkaError } from '@tidelog/protocol'
import { ManualClock, openTestStore } from '@tidelog/testkit'
import type { ConfigOp } from './alter-configs.ts'
import { type ConfigResource, ConfigResourceType, ConfigService } from './config-service.ts'
import type { DescribedConfig } from './describe-configs.ts'
import { parseBrokerConfig } from './parse-broker-config.ts'

const topic = { type: ConfigResourceType.topic, name: 't' }
const broker = { type: ConfigResourceType.broker, name: '1' }
const everyBroker = { type: ConfigResourceType.broker, name: '' }
const durably = { validateOnly: false }

const set = (name: string, value: string): ConfigOp => ({ name, operation: 'set', value })
const remove = (name: string): ConfigOp => ({ name, operation: 'delete', value: null })
const append = (name: string, value: string): ConfigOp => ({ name, operation: 'append', value })
const subtract = (name: string, value: string): ConfigOp => ({ name, operation: 'subtract', value })

/** A broker's configurations over a store of its own, in a cluster with the topic t. */
async function serviceOf(t: TestContext, properties: Record<string, string> = {}, store?: MetadataStore) {
  const ownStore = store ?? (await openTestStore(t)).connect()
  await openCluster(ownStore, { random: systemRandom })
  const configs = await ClusterConfigs.open({ store: ownStore, clock: new ManualClock(), logger: silentLogger })
  const known = { name: 't', topicId: 'AAAAAAAAAAAAAAAAAAAAAQ', isInternal: false, partitions: new Map() }
  const service = new ConfigService({
    parsed: parseBrokerConfig(properties),
    nodeId: 1,
    image: { configs, topic: (name) => (name === 't' ? known : undefined) },
    logger: silentLogger,
  })
  t.after(() => {
    service.close()
    configs.close()
  })
  return { service, configs, store: ownStore }
}

/** As kafka-configs prints it, sources by number. */
const shown = (configs: readonly DescribedConfig[], name: string) => {
  const { value, configSource, readOnly, isSensitive, synonyms } = configs.find((config) => config.name === name)!
  return `${value} source=${configSource}${readOnly ? ' read-only' : ''}${isSensitive ? ' sensitive' : ''} {${synonyms.map((synonym) => `${synonym.source}:${synonym.name}=${synonym.value}`).join(', ')}}`
}

const refused = (call: Promise<void>, errorName: string, message: string) =>
  assert.rejects(call, (error) => {
    assert.ok(error instanceof KafkaError)
    assert.deepEqual([error.errorName, error.message], [errorName, message])
    return true
  })

test('a fresh topic is described as Kafka 4.3 describes it', async (t) => {
  const { service } = await serviceOf(t)
  const configs = service.describe(topic)
  assert.equal(configs.length, 33)
  assert.equal(shown(configs, 'cleanup.policy'), 'delete source=5 {5:log.cleanup.policy=delete}')
  assert.equal(shown(configs, 'flush.ms'), '9223372036854775807 source=5 {}')
  assert.equal(shown(configs, 'retention.ms'), '604800000 source=5 {}')
  assert.equal(shown(configs, 'remote.storage.enable'), 'false source=5 {}')
  assert.equal(shown(configs, 'min.cleanable.dirty.ratio'), '0.5 source=5 {5:log.cleaner.min.cleanable.ratio=0.5}')
})

test("a topic's value shows every source in order, the one that holds first", async (t) => {
  const { service } = await serviceOf(t, { 'log.retention.hours': '2' })
  assert.equal(shown(service.describe(topic), 'retention.ms'), '7200000 source=5 {}')
  await service.alter(everyBroker, [set('log.retention.ms', '3000')], durably)
  await service.alter(broker, [set('log.retention.ms', '2000')], durably)
  await service.alter(topic, [set('retention.ms', ' +1000 ')], durably)
  assert.equal(
    shown(service.describe(topic), 'retention.ms'),
    '1000 source=1 {1:retention.ms=1000, 2:log.retention.ms=2000, 3:log.retention.ms=3000, 4:log.retention.hours=2, 5:log.retention.hours=168}',
  )
  await service.alter(topic, [remove('retention.ms')], durably)
  assert.equal(service.logConfigOf('t')['retention.ms'], 2000)
  await service.alter(broker, [remove('log.retention.ms')], durably)
  await service.alter(everyBroker, [remove('log.retention.ms')], durably)
  assert.equal(service.logConfigOf('t')['retention.ms'], 7_200_000)
})

test('a broker is described with its sources, and secrets are never shown', async (t) => {
  const { service } = await serviceOf(t, { 'ssl.key.password': 'canary', 'no.such.name': 'canary', 'num.partitions': '4' })
  const configs = service.describe(broker)
  assert.equal(shown(configs, 'num.partitions'), '4 source=4 read-only {4:num.partitions=4, 5:num.partitions=1}')
  assert.equal(shown(configs, 'log.retention.hours'), '168 source=5 read-only {5:log.retention.hours=168}')
  assert.equal(shown(configs, 'log.retention.ms'), 'null source=5 {}')
  assert.equal(shown(configs, 'ssl.key.password'), 'null source=4 sensitive {4:ssl.key.password=null}')
  assert.equal(shown(configs, 'no.such.name'), 'null source=4 read-only sensitive {4:no.such.name=null}')
  assert.ok(!JSON.stringify(configs).includes('canary'))
  assert.ok(!configs.some(({ name }) => name.startsWith('zookeeper.')), 'what Kafka 4.3 no longer has is shown when it is set')
})

test("a broker's value is shown as it was understood, its sources as they were written; a throttle has no default", async (t) => {
  const { service } = await serviceOf(t, { 'log.cleaner.min.cleanable.ratio': '1' })
  await service.alter(
    everyBroker,
    [set('log.cleaner.io.buffer.load.factor', '7'), set('follower.replication.throttled.rate', '5')],
    durably,
  )
  const configs = service.describe(broker)
  assert.equal(
    shown(configs, 'log.cleaner.io.buffer.load.factor'),
    '7.0 source=3 {3:log.cleaner.io.buffer.load.factor=7, 5:log.cleaner.io.buffer.load.factor=0.9}',
  )
  assert.match(shown(configs, 'log.cleaner.min.cleanable.ratio'), /^1\.0 source=4 /)
  assert.equal(shown(configs, 'follower.replication.throttled.rate'), '5 source=3 {3:follower.replication.throttled.rate=5}')
  assert.match(shown(service.describe(everyBroker), 'log.cleaner.io.buffer.load.factor'), /^7 source=3 /)
})

test('what holds for every broker is described on its own', async (t) => {
  const { service } = await serviceOf(t)
  assert.deepEqual(service.describe(everyBroker), [])
  await service.alter(everyBroker, [set('max.connections', '5000'), set('listener.name.plaintext.max.connections', '100')], durably)
  const configs = service.describe(everyBroker)
  assert.equal(shown(configs, 'max.connections'), '5000 source=3 {3:max.connections=5000}')
  assert.equal(
    shown(configs, 'listener.name.plaintext.max.connections'),
    '100 source=3 read-only {3:listener.name.plaintext.max.connections=100, 3:max.connections=5000}',
  )
})

test('values of a topic that do not fit are refused in the words of Kafka 4.3, and nothing changes', async (t) => {
  const { service } = await serviceOf(t)
  const refusedWith = (ops: ConfigOp[], message: string) => refused(service.alter(topic, ops, durably), 'INVALID_CONFIG', message)
  await refusedWith(
    [set('segment.ms', '5'), set('retention.ms', '-5')],
    'Invalid value -5 for configuration retention.ms: Value must be at least -1',
  )
  await refusedWith([set('foo.bar', '1')], 'Unknown topic config name: foo.bar')
  await refusedWith([set('__proto__', '1')], 'Unknown topic config name: __proto__')
  await refusedWith([append('retention.ms', '1')], "Can't APPEND to key retention.ms because its type is not LIST.")
  await refusedWith(
    [set('min.compaction.lag.ms', '100'), set('max.compaction.lag.ms', '50')],
    'conflict topic config setting min.compaction.lag.ms (100) > max.compaction.lag.ms (50)',
  )
  await refusedWith(
    [set('remote.storage.enable', 'true')],
    'Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.',
  )
  await service.alter(topic, [remove('foo.bar')], durably)
  assert.ok(service.describe(topic).every(({ configSource }) => configSource === 5))
  assert.throws(() => service.validateTopicConfigs(new Map([['foo', '1']])), /Unknown topic config name: foo/)
})

test('resources that are not there, or not here, are refused', async (t) => {
  const { service } = await serviceOf(t)
  const ops = [set('retention.ms', '1')]
  const alter = (type: number, name: string) => service.alter({ type, name }, ops, durably)
  await refused(alter(2, 'nope'), 'UNKNOWN_TOPIC_OR_PARTITION', "The topic 'nope' does not exist.")
  await refused(alter(2, ''), 'INVALID_REQUEST', 'Default topic resources are not allowed.')
  await refused(alter(4, '7'), 'INVALID_REQUEST', 'Unexpected broker id, expected 1, but received 7')
  await refused(alter(4, 'x'), 'INVALID_REQUEST', 'Node id must be an integer, but it is: x')
  await refused(alter(3, 'x'), 'INVALID_REQUEST', 'Unknown resource type 3')
  assert.throws(() => service.describe({ type: 2, name: 'a/b' }), /Topic name is invalid/)
  assert.throws(() => service.describe({ type: 4, name: '7' }), /Unexpected broker id, expected 1 or empty string, but received 7/)
})

test('lists grow and shrink from what is set, or from the default', async (t) => {
  const { service, configs } = await serviceOf(t)
  const policy = () => configs.topic('t').get('cleanup.policy')
  await service.alter(topic, [append('cleanup.policy', 'compact')], durably)
  assert.equal(policy(), 'delete,compact')
  await service.alter(topic, [append('cleanup.policy', 'compact')], durably)
  await service.alter(topic, [subtract('cleanup.policy', 'delete')], durably)
  assert.equal(policy(), 'compact')
  await service.alter(topic, [subtract('cleanup.policy', 'compact')], durably)
  assert.equal(policy(), '')
  assert.deepEqual(service.logConfigOf('t')['cleanup.policy'], [])
})

test('replacing drops what is not named', async (t) => {
  const { service, configs } = await serviceOf(t)
  await service.alter(topic, [set('retention.ms', '1'), set('retention.bytes', '2')], durably)
  await service.replace(topic, new Map([['retention.bytes', '3']]), durably)
  assert.deepEqual([...configs.topic('t')], [['retention.bytes', '3']])
})

test('validateOnly checks as much and changes nothing', async (t) => {
  const { service, configs } = await serviceOf(t)
  await service.alter(topic, [set('retention.ms', '1')], { validateOnly: true })
  assert.equal(configs.topic('t').size, 0)
  await assert.rejects(service.alter(topic, [set('retention.ms', '-9')], { validateOnly: true }), /Value must be at least -1/)
})

test('a broker takes at run time what its update mode allows', async (t) => {
  const { service } = await serviceOf(t)
  const refusedWith = (resource: typeof broker, ops: ConfigOp[], message: string) =>
    refused(service.alter(resource, ops, durably), 'INVALID_REQUEST', message)
  await refusedWith(
    broker,
    [set('auto.create.topics.enable', 'false')],
    'Cannot update these configs dynamically: [auto.create.topics.enable]',
  )
  await refusedWith(
    everyBroker,
    [set('listener.security.protocol.map', 'PLAINTEXT:PLAINTEXT')],
    'Cannot update these configs at default cluster level, broker id must be specified: [listener.security.protocol.map]',
  )
  await refusedWith(broker, [set('log.retention.ms', 'x')], 'Invalid value x for configuration log.retention.ms: Not a number of type LONG')
  await refusedWith(
    everyBroker,
    [set('listener.name.plaintext.max.connections.per.ip', '1')],
    'Cannot update these configs at default cluster level, broker id must be specified: [listener.name.plaintext.max.connections.per.ip]',
  )
  await service.alter(everyBroker, [set('listener.name.plaintext.max.connections', '10')], durably)
  await service.alter(broker, [remove('broker.id'), set('foo.bar', 'kept as Kafka keeps it')], durably)
})

test('values that are each valid are refused where they do not go together, also when one is taken back', async (t) => {
  const { service } = await serviceOf(t, { 'log.retention.hours': '1' })
  const change = (...ops: ConfigOp[]) => service.alter(everyBroker, ops, durably)
  const refusedWith = (ops: ConfigOp[], message: string) => refused(change(...ops), 'INVALID_REQUEST', message)
  await refusedWith([set('log.retention.ms', '0')], 'log.retention.ms must be unlimited (-1) or, greater than or equal to 1')
  await refusedWith([set('log.roll.ms', '0')], 'log.roll.ms must be greater than or equal to 1')
  await refusedWith([set('max.connections', '0')], 'Invalid max.connections 0')
  await refusedWith([set('listener.name.plaintext.max.connection.creation.rate', '0')], 'Invalid max.connection.creation.rate 0')
  await refusedWith(
    [set('log.local.retention.ms', '3600001')],
    'Invalid value 3600001 for configuration log.local.retention.ms: Value must not be more than log.retention.ms property value: 3600000',
  )
  await refusedWith(
    [set('log.local.retention.ms', '-1')],
    'Invalid value -1 for configuration log.local.retention.ms: Value must not be -1 as log.retention.ms value is set as 3600000.',
  )
  await change(set('log.local.retention.bytes', '100'))
  await refusedWith(
    [set('log.retention.bytes', '50')],
    'Invalid value 100 for configuration log.local.retention.bytes: Value must not be more than log.retention.bytes property value: 50',
  )
  await change(set('log.cleaner.min.compaction.lag.ms', '50'))
  await refusedWith(
    [set('log.cleaner.max.compaction.lag.ms', '40')],
    'conflict topic config setting min.compaction.lag.ms (50) > max.compaction.lag.ms (40)',
  )
  await change(set('log.cleaner.min.compaction.lag.ms', '10'), set('log.cleaner.max.compaction.lag.ms', '40'))
  await service.alter(broker, [set('log.cleaner.min.compaction.lag.ms', '5')], durably)
  await change(set('log.cleaner.min.compaction.lag.ms', '50')) // this broker has its own
  await refused(
    service.alter(broker, [remove('log.cleaner.min.compaction.lag.ms')], durably),
    'INVALID_REQUEST',
    'conflict topic config setting min.compaction.lag.ms (50) > max.compaction.lag.ms (40)',
  )
})

test('pools of threads grow and shrink by a factor of two at a time, as in Kafka, though nothing has them here', async (t) => {
  const { service } = await serviceOf(t)
  const change = (name: string, value: string) => service.alter(everyBroker, [set(name, value)], durably)
  const failed = 'Dynamic thread count update validation failed for num.io.threads='
  await refused(
    change('num.io.threads', '17'),
    'INVALID_REQUEST',
    `${failed}17, value should not be greater than double the current value 8`,
  )
  await refused(change('num.io.threads', '3'), 'INVALID_REQUEST', `${failed}3, value should be at least half the current value 8`)
  for (const value of ['4', '2']) await change('num.io.threads', value)
  await refused(
    service.alter(everyBroker, [remove('num.io.threads')], durably),
    'INVALID_REQUEST',
    `${failed}8, value should not be greater than double the current value 2`,
  )
})

test('a change holds at once: the live configuration is rewritten, and who keeps logs is told', async (t) => {
  const { service } = await serviceOf(t)
  const told: (string | undefined)[] = []
  service.onLogConfigChange((name) => told.push(name))
  await service.alter(everyBroker, [set('message.max.bytes', '2000')], durably)
  assert.equal(service.config['message.max.bytes'], 2000)
  assert.equal(service.logConfigOf('t')['max.message.bytes'], 2000)
  await service.alter(broker, [set('message.max.bytes', '3000')], durably)
  assert.equal(service.config['message.max.bytes'], 3000)
  await service.alter(topic, [set('max.message.bytes', '4000')], durably)
  assert.deepEqual(told, [undefined, undefined, 't'])
  await service.alter(broker, [remove('message.max.bytes')], durably)
  assert.equal(service.config['message.max.bytes'], 2000)
})

test('what was changed holds after a restart, over server.properties', async (t) => {
  const { service, store } = await serviceOf(t, { 'message.max.bytes': '1000' })
  await service.alter(everyBroker, [set('message.max.bytes', '2000')], durably)
  await service.alter(topic, [set('retention.ms', '9223372036854775807')], durably)
  const again = await serviceOf(t, { 'message.max.bytes': '1000' }, store)
  assert.equal(again.service.config['message.max.bytes'], 2000)
  assert.match(shown(again.service.describe(topic), 'retention.ms'), /^9223372036854775807 source=1 /)
})

test('values left in the store that are not valid have no effect and stop nothing', async (t) => {
  const { service, configs } = await serviceOf(t, { 'message.max.bytes': '1000' })
  await configs.alter(
    { type: 'brokers', name: '1' },
    () =>
      new Map([
        ['message.max.bytes', 'x'],
        ['num.partitions', '9'],
      ]),
  )
  await configs.alter({ type: 'brokers', name: DEFAULT_ENTITY }, () => new Map([['message.max.bytes', '7']]))
  await configs.alter(
    { type: 'topics', name: 't' },
    () =>
      new Map([
        ['retention.ms', 'x'],
        ['message.format.version', '2.8'],
        ['retention.bytes', '5'],
      ]),
  )
  assert.equal(service.config['message.max.bytes'], 7)
  assert.equal(service.config['num.partitions'], 1)
  const { 'retention.ms': retentionMs, 'retention.bytes': retentionBytes } = service.logConfigOf('t')
  assert.deepEqual([retentionMs, retentionBytes], [604_800_000, 5])
  assert.match(shown(service.describe(topic), 'retention.ms'), /^x source=1 /)
  await service.alter(topic, [set('retention.ms', '1')], durably)
  assert.equal(configs.topic('t').get('message.format.version'), '2.8')
})

test('A13: values that ask to be looked up, and security at run time, are refused with 40', async (t) => {
  const { service, configs } = await serviceOf(t)
  const variable = (of: string) => `$\{${of}}`
  const code = async (resource: ConfigResource, op: ConfigOp) => {
    const error = await service.alter(resource, [op], durably).then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    return error instanceof KafkaError ? error.code : error
  }
  for (const op of [
    set('log.retention.ms', variable('file:/etc/passwd:root')),
    set('foo.bar', variable('env:HOME')),
    set('sasl.jaas.config', 'com.sun.security.auth.module.JndiLoginModule required;'),
    set('listener.name.plaintext.plain.sasl.jaas.config', 'x required;'),
    set('sasl.oauthbearer.token.endpoint.url', 'file:///etc/passwd'),
    set('sasl.oauthbearer.jwks.endpoint.url', 'http://127.0.0.1:1/'),
    set('ssl.keystore.location', '/etc/passwd'),
    set('config.providers', 'file'),
  ]) {
    assert.equal(await code(broker, op), 40, op.name)
    assert.equal(await code(everyBroker, op), 40, op.name)
  }
  assert.equal(await code(topic, set('cleanup.policy', variable('file:/etc/passwd:root'))), 40)
  assert.equal(configs.broker(1).size + configs.broker(DEFAULT_ENTITY).size + configs.topic('t').size, 0)
})
