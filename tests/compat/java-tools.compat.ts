import assert from 'node:assert/strict'
import { existsSync, writeFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { type BrokerProcess, type Finished, kafkaTool, startBrokerProcess } from './harness.ts'

type Version = '4.3.0' | '3.9.1'

/** Classes moved from package kafka.tools to org.apache.kafka.tools, and flags were renamed, between 3.9 and 4.3. */
const tools = {
  topics: 'org.apache.kafka.tools.TopicCommand',
  configs: { '4.3.0': 'kafka.admin.ConfigCommand', '3.9.1': 'kafka.admin.ConfigCommand' },
  groups: 'org.apache.kafka.tools.consumer.group.ConsumerGroupCommand',
  consoleProducer: { '4.3.0': 'org.apache.kafka.tools.ConsoleProducer', '3.9.1': 'kafka.tools.ConsoleProducer' },
  consoleConsumer: 'org.apache.kafka.tools.consumer.ConsoleConsumer',
  offsets: 'org.apache.kafka.tools.GetOffsetShell',
  producerPerf: 'org.apache.kafka.tools.ProducerPerformance',
  consumerPerf: 'org.apache.kafka.tools.ConsumerPerformance',
  verifiableProducer: 'org.apache.kafka.tools.VerifiableProducer',
  verifiableConsumer: 'org.apache.kafka.tools.VerifiableConsumer',
  apiVersions: { '4.3.0': 'org.apache.kafka.tools.BrokerApiVersionsCommand', '3.9.1': 'kafka.admin.BrokerApiVersionsCommand' },
  deleteRecords: 'org.apache.kafka.tools.DeleteRecordsCommand',
  logDirs: 'org.apache.kafka.tools.LogDirsCommand',
  dumpLog: { '4.3.0': 'org.apache.kafka.tools.DumpLogSegments', '3.9.1': 'kafka.tools.DumpLogSegments' },
} as const

class Tools {
  readonly #version: Version
  readonly #broker: BrokerProcess
  constructor(version: Version, broker: BrokerProcess) {
    this.#version = version
    this.#broker = broker
  }
  run(tool: keyof typeof tools, args: string[], input?: string): Promise<Finished> {
    const known = tools[tool]
    const mainClass = typeof known === 'string' ? known : known[this.#version]
    return kafkaTool(this.#version, mainClass, args, input === undefined ? { timeoutMs: 90_000 } : { input, timeoutMs: 90_000 })
  }
  /** With `--bootstrap-server`, and success demanded. */
  async call(tool: keyof typeof tools, args: string[], input?: string): Promise<string> {
    const done = await this.run(tool, ['--bootstrap-server', this.#broker.bootstrap, ...args], input)
    assert.equal(done.code, 0, `${tool} ${args.join(' ')}\n${done.stdout}\n${done.stderr}`)
    return done.stdout
  }
}

async function brokerAndTools(t: TestContext, version: Version) {
  const broker = await startBrokerProcess(t)
  return { broker, tools: new Tools(version, broker) }
}

for (const version of ['4.3.0', '3.9.1'] as const) {
  test(`kafka-topics and kafka-configs ${version} create, describe, alter and delete`, async (t) => {
    const { broker, tools } = await brokerAndTools(t, version)
    assert.match(
      await tools.call('topics', ['--create', '--topic', 'made', '--partitions', '3', '--config', 'retention.ms=600000']),
      /Created topic made\./,
    )
    const again = await tools.run('topics', ['--bootstrap-server', broker.bootstrap, '--create', '--topic', 'made'])
    assert.equal(again.code, 1)
    assert.match(again.stdout, /Error while executing topic command : Topic 'made' already exists\./)
    assert.match(
      await tools.call('topics', ['--describe', '--topic', 'made']),
      /PartitionCount: 3\tReplicationFactor: 1\tConfigs: .*retention\.ms=600000/,
    )
    await tools.call('topics', ['--alter', '--topic', 'made', '--partitions', '5'])
    assert.match(await tools.call('topics', ['--describe', '--topic', 'made']), /Partition: 4\tLeader: 1\tReplicas: 1\tIsr: 1/)
    const entity = ['--entity-type', 'topics', '--entity-name', 'made']
    await tools.call('configs', ['--alter', ...entity, '--add-config', 'cleanup.policy=[compact,delete],max.message.bytes=2000000'])
    assert.match(
      await tools.call('configs', ['--describe', ...entity]),
      /max\.message\.bytes=2000000 sensitive=false synonyms=\{DYNAMIC_TOPIC_CONFIG:max\.message\.bytes=2000000, DEFAULT_CONFIG:message\.max\.bytes=1048588\}/,
    )
    await tools.call('configs', ['--alter', ...entity, '--delete-config', 'max.message.bytes'])
    assert.doesNotMatch(await tools.call('configs', ['--describe', ...entity]), /2000000/)
    const brokers = ['--entity-type', 'brokers', '--entity-default']
    await tools.call('configs', ['--alter', ...brokers, '--add-config', 'log.retention.ms=700000'])
    assert.match(await tools.call('configs', ['--describe', ...brokers]), /log\.retention\.ms=700000/)
    assert.match(
      await tools.call('configs', ['--describe', '--all', '--entity-type', 'brokers', '--entity-name', '1']),
      /num\.partitions=1/,
    )
    await tools.call('topics', ['--delete', '--topic', 'made'])
    assert.doesNotMatch(await tools.call('topics', ['--list']), /made/)
  })

  test(`console producer and consumer ${version}: keys, headers, null markers, every codec, groups`, async (t) => {
    const { broker, tools } = await brokerAndTools(t, version)
    const [reader, formatter] = version === '4.3.0' ? ['--reader-property', '--formatter-property'] : ['--property', '--property']
    const read = ['parse.key=true', 'parse.headers=true', 'null.marker=NULL', 'key.separator=:'].flatMap((property) => [reader, property])
    const print = ['print.key=true', 'print.headers=true', 'print.partition=true', 'print.offset=true'].flatMap((property) => [
      formatter,
      property,
    ])
    for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
      const topic = `console-${codec}`
      await tools.call(
        'consoleProducer',
        ['--topic', topic, '--compression-codec', codec, ...read],
        'a:1,b:2\tkey:value\nNULL\tNULL:plain\nc:3\tgone:NULL\n',
      )
      const consumed = await tools.call('consoleConsumer', [
        '--topic',
        topic,
        '--from-beginning',
        '--max-messages',
        '3',
        '--timeout-ms',
        '20000',
        ...print,
      ])
      assert.equal(
        consumed,
        'Partition:0\tOffset:0\ta:1,b:2\tkey\tvalue\nPartition:0\tOffset:1\tNO_HEADERS\tnull\tplain\nPartition:0\tOffset:2\tc:3\tgone\tnull\n',
      )
    }
    const first = ['--topic', 'console-none', '--group', 'printers', '--from-beginning', '--timeout-ms', '8000']
    assert.equal(
      (await tools.run('consoleConsumer', ['--bootstrap-server', broker.bootstrap, ...first])).stdout.trim().split('\n').length,
      3,
    )
  })

  test(`kafka-consumer-groups, get-offsets, delete-records and log-dirs ${version}`, async (t) => {
    const { broker, tools } = await brokerAndTools(t, version)
    await tools.call('topics', ['--create', '--topic', 'offsets', '--partitions', '2'])
    await tools.call('consoleProducer', ['--topic', 'offsets'], Array.from({ length: 10 }, (_, i) => `r${i}\n`).join(''))
    await tools.call('consoleConsumer', [
      '--topic',
      'offsets',
      '--group',
      'readers',
      '--from-beginning',
      '--max-messages',
      '10',
      '--timeout-ms',
      '20000',
    ])
    assert.match(await tools.call('groups', ['--list', '--state']), /readers +\S* *(Classic +)?Empty|readers +Empty/)
    assert.match(await tools.call('groups', ['--describe', '--group', 'readers']), /readers +offsets +0 +\d+ +\d+ +0/)
    assert.match(await tools.call('groups', ['--describe', '--group', 'readers', '--state']), /readers +127\.0\.0\.1:\d+ +\(1\) .*Empty +0/)
    const reset = ['--reset-offsets', '--group', 'readers', '--topic', 'offsets', '--to-earliest']
    assert.match(await tools.call('groups', [...reset, '--execute']), /readers +offsets +0 +0/)
    await tools.call('groups', ['--delete', '--group', 'readers'])
    assert.doesNotMatch(await tools.call('groups', ['--list']), /readers/)
    const total = (text: string) =>
      text
        .trim()
        .split('\n')
        .reduce((sum, line) => sum + Number(line.split(':')[2]), 0)
    assert.equal(total(await tools.call('offsets', ['--topic', 'offsets'])), 10)
    assert.equal(total(await tools.call('offsets', ['--topic', 'offsets', '--time', '-2'])), 0)
    const json = join(broker.dir, '..', 'delete.json')
    const partition = (await tools.call('offsets', ['--topic', 'offsets'])).includes('offsets:0:0') ? 1 : 0
    writeFileSync(json, JSON.stringify({ version: 1, partitions: [{ topic: 'offsets', partition, offset: -1 }] }))
    assert.match(await tools.call('deleteRecords', ['--offset-json-file', json]), /low_watermark: \d+/)
    assert.match(await tools.call('logDirs', ['--describe', '--topic-list', 'offsets']), /"partition":"offsets-0"/)
    assert.match(await tools.call('apiVersions', []), /Produce\(0\): 0 to 13/)
  })

  test(`perf tests and verifiable clients ${version}; kafka-dump-log finds nothing wrong in what they wrote`, async (t) => {
    const { broker, tools } = await brokerAndTools(t, version)
    await tools.call('topics', ['--create', '--topic', 'perf', '--partitions', '3', '--config', 'segment.bytes=1048576'])
    const load = ['--topic', 'perf', '--num-records', '20000', '--record-size', '200', '--throughput', '-1']
    for (const codec of ['none', 'zstd']) {
      const produced = await tools.run('producerPerf', [
        ...load,
        '--producer-props',
        `bootstrap.servers=${broker.bootstrap}`,
        `compression.type=${codec}`,
      ])
      assert.match(produced.stdout, /20000 records sent, .* 99\.9th\./, produced.stderr)
    }
    const count = version === '4.3.0' ? '--num-records' : '--messages'
    const consumed = await tools.call('consumerPerf', ['--topic', 'perf', count, '40000', '--timeout', '30000'])
    assert.match(consumed, /, 40000, /)
    const acked = await tools.call('verifiableProducer', ['--topic', 'verified', '--max-messages', '500', '--acks', '-1'])
    assert.match(acked, /"acked":500/)
    const verified = await tools.call('verifiableConsumer', [
      '--topic',
      'verified',
      '--group-id',
      'verifiers',
      '--max-messages',
      '500',
      '--reset-policy',
      'earliest',
    ])
    assert.match(verified, /"name":"offsets_committed"/)
    await broker.stop()
    const segments = (await readdir(broker.dir, { recursive: true })).filter((name) =>
      /^(perf|verified|__consumer_offsets)-\d+\/\d+\.log$/.test(name),
    )
    const written = segments.map((name) => join(broker.dir, name))
    assert.ok(written.length >= 6, `${written.length} segments`)
    // A partition that never held a record has no index yet.
    const indexes = written.flatMap((log) => [log.replace(/log$/, 'index'), log.replace(/log$/, 'timeindex')]).filter(existsSync)
    assert.ok(indexes.length >= 8, `${indexes.length} indexes`)
    const dumped = await tools.run('dumpLog', ['--deep-iteration', '--files', written.join(',')])
    assert.equal(dumped.code, 0, dumped.stderr)
    assert.doesNotMatch(dumped.stdout + dumped.stderr, /isvalid: false|Mismatches|Found.*error|Exception/)
    const sane = await tools.run('dumpLog', ['--index-sanity-check', '--files', indexes.join(',')])
    assert.doesNotMatch(sane.stdout + sane.stderr, /Mismatches|corrupt|Exception/i)
    const verifiedIndexes = await tools.run('dumpLog', ['--verify-index-only', '--files', indexes.join(',')])
    assert.doesNotMatch(verifiedIndexes.stdout + verifiedIndexes.stderr, /Mismatches|corrupt|Exception/i)
  })
}
