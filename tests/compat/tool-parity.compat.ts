import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { type BrokerProcess, type Finished, kafkaTool, root, run, startBrokerProcess } from './harness.ts'

/** Ours by the name that Kafka ships, and Kafka's own main class. */
const tools = {
  'kafka-topics': 'org.apache.kafka.tools.TopicCommand',
  'kafka-configs': 'kafka.admin.ConfigCommand',
  'kafka-consumer-groups': 'org.apache.kafka.tools.consumer.group.ConsumerGroupCommand',
  'kafka-log-dirs': 'org.apache.kafka.tools.LogDirsCommand',
  'kafka-groups': 'org.apache.kafka.tools.GroupsCommand',
  'kafka-transactions': 'org.apache.kafka.tools.TransactionsCommand',
  'kafka-features': 'org.apache.kafka.tools.FeatureCommand',
  'kafka-console-producer': 'org.apache.kafka.tools.ConsoleProducer',
  'kafka-console-consumer': 'org.apache.kafka.tools.consumer.ConsoleConsumer',
} as const

interface Step {
  tool: keyof typeof tools
  args: string[]
  input?: string
}
const topics = (...args: string[]): Step => ({ tool: 'kafka-topics', args })
const configs = (...args: string[]): Step => ({ tool: 'kafka-configs', args })
const groups = (...args: string[]): Step => ({ tool: 'kafka-consumer-groups', args })
const logDirs = (...args: string[]): Step => ({ tool: 'kafka-log-dirs', args })
const allGroups = (...args: string[]): Step => ({ tool: 'kafka-groups', args })
const transactions = (...args: string[]): Step => ({ tool: 'kafka-transactions', args })
const features = (...args: string[]): Step => ({ tool: 'kafka-features', args })
const produce = (input: string, ...args: string[]): Step => ({ tool: 'kafka-console-producer', args, input })
const consume = (...args: string[]): Step => ({ tool: 'kafka-console-consumer', args })

const show = ['key', 'offset', 'partition', 'headers', 'epoch'].flatMap((what) => ['--formatter-property', `print.${what}=true`])
const parse = ['parse.key=true', 'parse.headers=true', 'null.marker=NULL'].flatMap((property) => ['--reader-property', property])
const ofMade = ['--entity-type', 'topics', '--entity-name', 'made']

/** What an afternoon with Kafka's tools looks like, mistakes included. @FILE@ is a file beside the broker's data. */
const afternoon: Step[] = [
  topics('--list'),
  topics(
    '--create',
    '--topic',
    'made',
    '--partitions',
    '3',
    '--replication-factor',
    '1',
    '--config',
    'retention.ms=600000',
    '--config',
    'segment.bytes=1048576',
  ),
  topics('--create', '--topic', 'made'),
  topics('--create', '--topic', 'made', '--if-not-exists'),
  topics('--create', '--topic', 'with.dot_and_line'),
  topics('--create', '--topic', 'bad/name'),
  topics('--create', '--topic', 'other', '--replication-factor', '2'),
  topics('--create', '--topic', 'other', '--config', 'no.such.config=1'),
  topics('--create', '--topic', 'other', '--config', 'retention.ms=abc'),
  topics('--create', '--topic', 'other', '--replica-assignment', '1,1'),
  topics('--list'),
  topics('--describe', '--topic', 'made'),
  topics('--describe', '--topics-with-overrides'),
  topics('--describe', '--topic', 'missing'),
  topics('--describe', '--topic', 'missing', '--if-exists'),
  topics('--describe', '--under-replicated-partitions'),
  topics('--alter', '--topic', 'made', '--partitions', '4'),
  topics('--alter', '--topic', 'made', '--partitions', '2'),
  topics('--alter', '--topic', 'missing', '--partitions', '2'),
  topics('--create', '--describe'),
  topics('--delete', '--topic', 'missing'),
  configs('--describe', ...ofMade),
  configs('--alter', ...ofMade, '--add-config', 'cleanup.policy=[compact,delete],max.message.bytes=2000000'),
  configs('--describe', ...ofMade),
  configs('--describe', '--all', ...ofMade),
  configs('--alter', ...ofMade, '--delete-config', 'retention.ms,cleanup.policy'),
  configs('--alter', ...ofMade, '--delete-config', 'retention.ms'),
  configs('--alter', ...ofMade, '--add-config', 'max.message.bytes=-5'),
  configs('--alter', '--entity-type', 'topics', '--entity-name', 'missing', '--add-config', 'retention.ms=5'),
  configs('--describe', '--topic', 'made'),
  configs('--alter', '--entity-type', 'brokers', '--entity-default', '--add-config', 'log.retention.ms=700000'),
  configs('--describe', '--entity-type', 'brokers', '--entity-default'),
  configs('--describe', '--broker', '1'),
  configs('--alter', '--broker', '1', '--add-config', 'log.dirs=/nowhere'),
  configs('--alter', '--broker-defaults', '--delete-config', 'log.retention.ms'),
  produce('h:1,h:2\tkey\tvalue\nNULL\tNULL\tplain\nh:3\tgone\tNULL\n', '--topic', 'records', ...parse),
  produce('no key here\n', '--topic', 'records', '--reader-property', 'parse.key=true', '--reader-property', 'key.separator=|'),
  logDirs('--describe'),
  logDirs('--describe', '--topic-list', 'made,records', '--broker-list', '1'),
  logDirs('--describe', '--topic-list', 'missing'),
  logDirs('--describe', '--broker-list', '1,7,8'),
  logDirs(),
  consume('--topic', 'records', '--group', 'printers', '--from-beginning', '--max-messages', '3', '--timeout-ms', '15000', ...show),
  consume('--topic', 'records', '--partition', '0', '--offset', '1', '--max-messages', '1', '--timeout-ms', '15000'),
  consume('--topic', 'records', '--group', 'readers', '--from-beginning', '--max-messages', '3', '--timeout-ms', '15000'),
  consume('--topic', 'records', '--offset', '1'),
  consume('--max-messages', '1'),
  groups('--list'),
  groups('--list', '--state'),
  groups('--describe', '--group', 'readers'),
  groups('--describe', '--group', 'readers', '--verbose'),
  groups('--describe', '--group', 'readers', '--state'),
  groups('--describe', '--group', 'readers', '--members'),
  groups('--describe', '--all-groups', '--offsets'),
  groups('--describe', '--group', 'missing'),
  groups('--reset-offsets', '--group', 'readers', '--topic', 'records', '--to-earliest'),
  groups('--reset-offsets', '--group', 'readers', '--topic', 'records:0', '--shift-by', '-1', '--execute'),
  groups('--reset-offsets', '--group', 'readers', '--all-topics', '--to-offset', '99', '--dry-run'),
  groups('--reset-offsets', '--group', 'readers', '--all-topics', '--to-datetime', '2020-01-01T00:00:00.000', '--dry-run'),
  groups('--reset-offsets', '--group', 'readers', '--all-topics', '--by-duration', 'PT1H', '--export', '--dry-run'),
  groups('--reset-offsets', '--group', 'readers', '--from-file', '@FILE@', '--execute'),
  groups('--reset-offsets', '--group', 'readers', '--dry-run'),
  groups('--describe', '--group', 'readers'),
  allGroups('--list'),
  allGroups('--list', '--consumer'),
  allGroups('--list', '--group-type', 'consumer'),
  allGroups('--list', '--consumer', '--share'),
  transactions('list'),
  transactions('describe', '--transactional-id', 'none'),
  transactions('describe-producers', '--topic', 'records', '--partition', '0'),
  transactions('describe-producers', '--topic', 'records', '--partition', '0', '--broker-id', '1'),
  transactions('abort', '--topic', 'records', '--partition', '0', '--start-offset', '1'),
  transactions('abort', '--topic', 'records', '--partition', '0'),
  transactions('find-hanging', '--broker-id', '1'),
  transactions('find-hanging', '--partition', '1'),
  groups('--delete-offsets', '--group', 'readers', '--topic', 'records'),
  groups('--delete', '--group', 'readers'),
  groups('--delete', '--group', 'missing'),
  topics('--delete', '--topic', 'made'),
  topics('--list', '--exclude-internal'),
  features('describe'),
  features('upgrade'),
  features('upgrade', '--feature', 'group.version=9'),
  features('upgrade', '--feature', 'other.version=1', '--feature', 'another.version=1', '--dry-run'),
  features('upgrade', '--feature', 'group.version'),
  features('upgrade', '--feature', 'group.version=x'),
  features('upgrade', '--release-version', '4.1', '--feature', 'group.version=1'),
  features('upgrade', '--release-version', '9.9'),
  features('downgrade', '--feature', 'transaction.version=1', '--unsafe', '--dry-run'),
  features('disable', '--feature', 'other.version'),
  features('version-mapping'),
  features('version-mapping', '--release-version', '4.0-IV0'),
  features('feature-dependencies', '--feature', 'transaction.version=2', '--feature', 'eligible.leader.replicas.version=1'),
  features('feature-dependencies', '--feature', 'other.version=2'),
  features('feature-dependencies', '--feature', 'group.version=7'),
  features('no-such-word'),
  features('feature-dependencies'),
]

test('our tools print what the tools of Kafka 4.3 print, byte for byte', async (t) => {
  const [forOurs, forKafkas] = [await startBrokerProcess(t), await startBrokerProcess(t)]
  const different: string[] = []
  for (const { tool, args, input } of afternoon) {
    const call = async (broker: BrokerProcess, use: (all: string[], options: object) => Promise<Finished>) => {
      const file = join(broker.dir, '..', 'offsets.csv')
      writeFileSync(file, 'records,0,2\n')
      const all = ['--bootstrap-server', broker.bootstrap, ...args.map((arg) => arg.replace('@FILE@', file))]
      return comparable(await use(all, { ...(input === undefined ? {} : { input }), timeoutMs: 60_000 }), broker)
    }
    const ours = await call(forOurs, (all, options) => run(join(root, 'bin', `${tool}.sh`), all, options))
    const kafkas = await call(forKafkas, (all, options) => kafkaTool('4.3.0', tools[tool], all, options))
    if (ours !== kafkas) different.push(`${tool} ${args.join(' ')}\n--- Kafka's\n${kafkas}\n--- ours\n${ours}`)
  }
  assert.equal(different.length, 0, `${different.length} of ${afternoon.length} differ\n\n${different.join('\n\n')}`)
})

test('log-dirs lists the partitions of several directories in the order of Kafka 4.3', async (t) => {
  const { bootstrap } = await startBrokerProcess(t, { 'log.dirs': 'data,more,third' }, 'tidelog')
  const server = ['--bootstrap-server', bootstrap]
  const tool = (name: string, ...args: string[]) => run(join(root, 'bin', `${name}.sh`), [...server, ...args])
  for (const [index, topic] of ['a', 'abcdef', 'topic.with-dots', 'payments', 'Orders'].entries())
    await tool('kafka-topics', '--create', '--topic', topic, '--partitions', String(9 * (index + 1)))
  for (const more of [[], ['--topic-list', 'a,payments']]) {
    const kafkas = await kafkaTool('4.3.0', tools['kafka-log-dirs'], [...server, '--describe', ...more])
    assert.equal((await tool('kafka-log-dirs', '--describe', ...more)).stdout, kafkas.stdout)
  }
})

/** Exit code and both streams, without what differs between any two brokers and runs, and without the usage text, which is our own. */
function comparable({ code, stdout, stderr }: Finished, { port, dir }: BrokerProcess): string {
  const plain = (text: string) =>
    text
      .replaceAll(String(port), 'PORT')
      .replaceAll(dir.replace(/data$/, ''), 'DIR/')
      .replace(/TopicId: \S+/g, 'TopicId: ID')
      .replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, 'UUID')
      .replace(/\b1[0-9]{12}\b/g, 'TIMESTAMP')
  // Java's stack traces, its log lines and its advertisements are no part of what a user is told.
  const noise = /^\s+at |^Caused by|^SLF4J|^\s*\.\.\. \d+ more|^java\.util\.concurrent\.ExecutionException.*GroupIdNotFound|KIP-848/
  const lines = plain(stderr)
    .split('\n')
    .filter((line) => !noise.test(line))
  const usage = lines.findIndex((line) => /^Option (\(\* = required\))? +Description|^Usage: tidelog/.test(line))
  const told = (usage < 0 ? lines : lines.slice(0, usage)).join('\n').trim()
  return `exit ${code}\n${plain(stdout)}\n[stderr]\n${told}`
}
