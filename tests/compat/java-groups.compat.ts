import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { BackgroundProcess } from './background.ts'
import { type BrokerProcess, javaArgs, kafkaJars, startBrokerProcess } from './harness.ts'
import { JavaShell } from './java-shell.ts'

const PARTITIONS = 6
/** Short, so that a member that was killed is noticed. */
const settings = {
  'offsets.topic.num.partitions': '3',
  'group.min.session.timeout.ms': '1000',
  'group.consumer.min.session.timeout.ms': '1000',
  'group.consumer.session.timeout.ms': '4000',
  'group.consumer.min.heartbeat.interval.ms': '300',
  'group.consumer.heartbeat.interval.ms': '500',
}

interface VerifiableEvent {
  readonly name: string
  readonly partitions?: readonly {
    readonly topic: string
    readonly partition: number
    readonly minOffset: number
    readonly maxOffset: number
  }[]
}

/** A VerifiableConsumer, and what it says that it owns and has read. */
class Member {
  readonly process: BackgroundProcess
  readonly owned = new Set<number>()
  /** Partition → the offsets that it got, as ranges, both ends inclusive. */
  readonly read: { readonly partition: number; readonly from: number; readonly to: number }[] = []

  constructor(t: TestContext, broker: BrokerProcess, jars: string, args: readonly string[]) {
    const tool = ['-Xmx128M', ...javaArgs, '-cp', jars, 'org.apache.kafka.tools.VerifiableConsumer']
    const all = [...tool, '--bootstrap-server', broker.bootstrap, '--topic', 'events', '--group-id', 'verifiers', ...args]
    this.process = new BackgroundProcess(t, 'java', all, (line) => line.startsWith('{') && this.#note(JSON.parse(line) as VerifiableEvent))
  }

  #note({ name, partitions = [] }: VerifiableEvent): void {
    for (const { partition, minOffset, maxOffset } of partitions) {
      if (name === 'partitions_assigned') this.owned.add(partition)
      if (name === 'partitions_revoked' || name === 'partitions_lost') this.owned.delete(partition)
      if (name === 'records_consumed') this.read.push({ partition, from: minOffset, to: maxOffset })
    }
  }
}

/** Waits until each partition has one owner among `members`, and each of them a share. */
async function balanced(members: readonly Member[]): Promise<void> {
  const holds = () => {
    const owned = members.flatMap((member) => [...member.owned])
    return owned.length === PARTITIONS && new Set(owned).size === PARTITIONS && members.every((member) => member.owned.size > 0)
  }
  const deadline = performance.now() + 60_000
  while (!holds()) {
    assert.ok(
      performance.now() < deadline,
      members.map(({ owned, process }) => `owned: [${[...owned]}]\n${process.description}`).join('\n'),
    )
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

const protocols = [
  {
    name: 'classic, cooperative-sticky',
    type: 'Classic',
    args: ['--session-timeout', '4000', '--assignment-strategy', 'org.apache.kafka.clients.consumer.CooperativeStickyAssignor'],
  },
  { name: 'consumer, uniform', type: 'Consumer', args: ['--group-protocol', 'consumer', '--group-remote-assignor', 'uniform'] },
  { name: 'consumer, range', type: 'Consumer', args: ['--group-protocol', 'consumer', '--group-remote-assignor', 'range'] },
]
for (const { name, type, args } of protocols) {
  test(`G1, G4: Java 4.3's VerifiableConsumers (${name}) read every record through joins, kill -9 of a member and of the broker`, async (t) => {
    const broker = await startBrokerProcess(t, settings)
    const shell = await JavaShell.start(t, broker.bootstrap)
    await shell.call('topics', ['--create', '--topic', 'events', '--partitions', String(PARTITIONS)])
    const jars = await kafkaJars('4.3.0')
    const perPart = 3000
    const produce = () => shell.call('produce', ['events', String(PARTITIONS), String(perPart)])
    const join = () => new Member(t, broker, jars, args)
    const [a, b] = [join(), join()]
    await produce()
    await balanced([a, b])
    const c = join()
    await balanced([a, b, c])
    await produce()
    await a.process.kill()
    await balanced([b, c])
    await broker.crash()
    await produce()
    const described = async () =>
      (await shell.call('consumerGroups', ['--describe', '--group', 'verifiers'])).split('\n').filter((line) => /^verifiers /.test(line))
    const hasReadAll = (rows: readonly string[]) => rows.length === PARTITIONS && rows.every((line) => line.split(/\s+/)[5] === '0')
    let rows = await described()
    for (const deadline = performance.now() + 60_000; performance.now() < deadline && !hasReadAll(rows); ) rows = await described()
    assert.ok(hasReadAll(rows), rows.join('\n'))
    await balanced([b, c])
    assert.match(await shell.call('consumerGroups', ['--describe', '--group', 'verifiers', '--state']), /verifiers .* Stable +2\b/)
    assert.match(await shell.call('groups', ['--list']), new RegExp(`verifiers +${type} +consumer`))
    for (const row of rows) {
      const [, , partition, , end] = row.split(/\s+/).map(Number)
      const seen = new Set(
        [a, b, c].flatMap((member) =>
          member.read.filter((read) => read.partition === partition).flatMap(({ from, to }) => offsets(from, to)),
        ),
      )
      assert.equal(seen.size, end, `partition ${partition}`)
    }
    for (const member of [b, c]) {
      member.process.signal('SIGTERM')
      await member.process.end()
    }
    assert.match(await shell.call('consumerGroups', ['--describe', '--group', 'verifiers', '--state']), /verifiers .* Empty +0\b/)
  })
}

const sorted = (offsetsOf: Map<string, number>): [string, number][] => [...offsetsOf].sort()
const offsets = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, index) => from + index)

test('kafka-consumer-groups 4.3 resets offsets in every way, of one topic, several and all, tried, exported and done', async (t) => {
  const broker = await startBrokerProcess(t, settings)
  const shell = await JavaShell.start(t, broker.bootstrap)
  for (const topic of ['first', 'second']) {
    await shell.call('topics', ['--create', '--topic', topic, '--partitions', '2'])
    await shell.call('produce', [topic, '2', '1000'])
  }
  const reset = async (group: string, ...args: string[]): Promise<Map<string, number>> => {
    const text = await shell.call('consumerGroups', ['--reset-offsets', '--group', group, ...args])
    const rows = text.split('\n').map((line) => line.trim().split(/\s+/))
    return new Map(rows.filter(([of]) => of === group).map(([, topic, partition, offset]) => [`${topic}-${partition}`, Number(offset)]))
  }
  const committed = async (group: string): Promise<Map<string, number>> => {
    const rows = (await shell.call('consumerGroups', ['--describe', '--group', group])).split('\n').map((line) => line.trim().split(/\s+/))
    return new Map(rows.filter(([of]) => of === group).map(([, topic, partition, offset]) => [`${topic}-${partition}`, Number(offset)]))
  }
  const all = ['first-0', 'first-1', 'second-0', 'second-1']
  const every = (offset: number) => new Map(all.map((place) => [place, offset]))
  assert.deepEqual(sorted(await reset('readers', '--topic', 'first', '--topic', 'second', '--to-latest', '--execute')), sorted(every(500)))
  const ways: [args: string[], offsets: Map<string, number>][] = [
    [['--to-earliest'], every(0)],
    [['--to-offset', '100'], every(100)],
    [['--shift-by', '50'], every(150)],
    [['--shift-by', '-1000'], every(0)],
    [['--to-offset', '100000'], every(500)],
    [['--to-datetime', '2020-01-01T00:00:00.000'], every(0)],
    [['--by-duration', 'PT0S'], every(500)],
    [['--by-duration', 'P1D'], every(0)],
    [['--to-current'], every(0)],
    [['--to-latest'], every(500)],
  ]
  for (const [args, expected] of ways) {
    assert.deepEqual(sorted(await reset('readers', '--all-topics', ...args, '--execute')), sorted(expected), args.join(' '))
    assert.deepEqual(sorted(await committed('readers')), sorted(expected), args.join(' '))
  }
  assert.deepEqual(sorted(await reset('readers', '--all-topics', '--to-offset', '9', '--dry-run')), sorted(every(9)))
  assert.deepEqual(sorted(await committed('readers')), sorted(every(500)))
  const csv = await shell.call('consumerGroups', [
    '--reset-offsets',
    '--group',
    'readers',
    '--topic',
    'first:0,1',
    '--to-offset',
    '7',
    '--export',
  ])
  assert.deepEqual(csv.trim().split('\n').slice(-2).sort(), ['first,0,7', 'first,1,7'])
  const file = join(broker.dir, '..', 'offsets.csv')
  writeFileSync(file, 'second,0,3\nsecond,1,4\n')
  await reset('readers', '--from-file', file, '--execute')
  assert.deepEqual([(await committed('readers')).get('second-0'), (await committed('readers')).get('second-1')], [3, 4])
  writeFileSync(file, 'readers,second,0,5\nothers,first,1,6\n')
  await shell.call('consumerGroups', ['--reset-offsets', '--group', 'readers', '--group', 'others', '--from-file', file, '--execute'])
  assert.equal((await committed('readers')).get('second-0'), 5)
  assert.deepEqual([...(await committed('others'))], [['first-1', 6]])
  await shell.call('consumerGroups', ['--reset-offsets', '--all-groups', '--all-topics', '--to-earliest', '--execute'])
  assert.equal((await committed('others')).get('first-1'), 0)

  await shell.call('consumerGroups', ['--delete-offsets', '--group', 'readers', '--topic', 'first:1'])
  assert.deepEqual([...(await committed('readers')).keys()].sort(), ['first-0', 'second-0', 'second-1'])
  const listed = await shell.call('consumerGroups', ['--list', '--state', 'Empty', '--type', 'classic'])
  assert.match(listed, /readers/)
  assert.match(
    await shell.call('consumerGroups', ['--delete', '--group', 'readers', '--group', 'others']),
    /'readers'.*'others'|'others'.*'readers'/,
  )
  assert.doesNotMatch(await shell.call('groups', ['--list']), /readers|others/)
  const missing = await shell.run('consumerGroups', ['--delete', '--group', 'readers'])
  assert.match(missing.stdout + missing.stderr, /GroupIdNotFoundException|The group id does not exist|could not be deleted/)
})
