import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Admin, BrokerError } from '@tidelog/client'
import { errorTable } from '@tidelog/protocol'
import { runWith } from '../command-harness.ts'
import { configs } from './configs.ts'

const server = ['--bootstrap-server', 'b:1']
const entry = { isReadOnly: false, isSensitive: false, type: 'long', documentation: null } as const

const admin: Partial<Admin> = {
  listTopics: async () => [{ name: 'foo', topicId: 'x', isInternal: false }],
  describeCluster: async () => ({ clusterId: 'c', controllerId: 1, brokers: [{ nodeId: 1, host: 'b', port: 1, rack: null }] }),
  listConfigResources: async () => [],
  listGroups: async () => [],
  describeConfigs: async ([resource]) => [
    {
      resource: resource!,
      configs: [
        {
          ...entry,
          name: 'retention.ms',
          value: '5000',
          source: 'dynamic-topic-config',
          synonyms: [{ name: 'retention.ms', value: '5000', source: 'dynamic-topic-config' }],
        },
        {
          ...entry,
          name: 'cleanup.policy',
          value: 'delete',
          source: 'default-config',
          synonyms: [{ name: 'log.cleanup.policy', value: 'delete', source: 'default-config' }],
        },
      ],
    },
  ],
}

test('--describe shows what was set on the entity, --all everything, sorted by name', async () => {
  const own = '  retention.ms=5000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=5000}\n'
  const inherited = '  cleanup.policy=delete sensitive=false synonyms={DEFAULT_CONFIG:log.cleanup.policy=delete}\n'
  assert.equal(
    (await runWith(configs, { admin }, ...server, '--describe', '--topic', 'foo')).stdout,
    `Dynamic configs for topic foo are:\n${own}`,
  )
  const all = await runWith(configs, { admin }, ...server, '--describe', '--all', '--entity-type', 'topics', '--entity-name', 'foo')
  assert.equal(all.stdout, `All configs for topic foo are:\n${inherited}${own}`)
})

test('brokers without a name are all brokers, then their defaults', async () => {
  const { stdout } = await runWith(configs, { admin }, ...server, '--describe', '--entity-type', 'brokers')
  assert.equal(stdout, 'Dynamic configs for broker 1 are:\nDefault configs for brokers in the cluster are:\n')
})

test('an entity that does not exist is told on stdout with exit code 0, as Kafka does', async () => {
  const topic = await runWith(configs, { admin }, ...server, '--describe', '--topic', 'nothere')
  assert.deepEqual([topic.code, topic.stdout], [0, "The topic 'nothere' doesn't exist and doesn't have dynamic config.\n"])
  const group = await runWith(configs, { admin }, ...server, '--describe', '--group', 'g')
  assert.equal(group.stdout, "The group 'g' doesn't exist and doesn't have dynamic config.\n")
})

test('--alter sets and deletes in one request', async () => {
  let asked: unknown
  const altering: Partial<Admin> = {
    incrementalAlterConfigs: async (changes) => {
      asked = changes
    },
  }
  const ran = await runWith(
    configs,
    { admin: altering },
    ...server,
    '--alter',
    '--topic',
    'foo',
    '--add-config',
    'a=1,b=[x,y]',
    '--delete-config',
    'c, d',
  )
  assert.equal(ran.stdout, 'Completed updating config for topic foo.\n')
  assert.deepEqual(asked, [
    {
      resource: { type: 'topic', name: 'foo' },
      ops: [
        { name: 'a', op: 'set', value: '1' },
        { name: 'b', op: 'set', value: 'x,y' },
        { name: 'c', op: 'delete' },
        { name: 'd', op: 'delete' },
      ],
    },
  ])
  const defaults = await runWith(configs, { admin: altering }, ...server, '--alter', '--broker-defaults', '--add-config', 'a=1')
  assert.equal(defaults.stdout, 'Completed updating default config for brokers in the cluster.\n')
})

test("a broker's refusal is printed with the arguments and exit code 1", async () => {
  const refusing: Partial<Admin> = {
    incrementalAlterConfigs: async () => {
      throw new BrokerError(errorTable.INVALID_CONFIG.code, 'topic foo', 'Unknown topic config name: nope')
    },
  }
  const { code, stderr } = await runWith(configs, { admin: refusing }, ...server, '--alter', '--topic', 'foo', '--add-config', 'nope=1')
  assert.equal(code, 1)
  assert.equal(
    stderr,
    "Error while executing config command with args '--bootstrap-server b:1 --alter --topic foo --add-config nope=1'\njava.util.concurrent.ExecutionException: org.apache.kafka.common.errors.InvalidConfigurationException: Unknown topic config name: nope\n",
  )
})

test('options that do not go together say so in one line', async () => {
  const cases: [string[], RegExp][] = [
    [[...server, '--describe', '--alter', '--topic', 'a'], /^Command must include exactly one action: --describe, --alter$/m],
    [['--describe', '--topic', 'a'], /^Either --bootstrap-server or --bootstrap-controller must be specified\.\n$/],
    [[...server, '--describe'], /^At least one entity type must be specified\n$/],
    [
      [...server, '--alter', '--topic', 'a'],
      /^At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter\n$/,
    ],
    [[...server, '--describe', '--entity-type', 'x'], /^Invalid entity type x, the entity type must be one of topics, clients, /],
    [[...server, '--alter', '--topic', 'a', '--add-config', 'b'], /^requirement failed: Invalid entity config/],
    [[...server, '--describe', '--broker', 'one'], /must be a valid integer broker id, found: one/],
  ]
  for (const [args, message] of cases) {
    const { code, stderr } = await runWith(configs, {}, ...args)
    assert.equal(code, 1)
    assert.match(stderr, message)
  }
})
