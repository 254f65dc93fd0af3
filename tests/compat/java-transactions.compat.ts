import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { BackgroundProcess } from './background.ts'
import { type BrokerProcess, compatDir, javaArgs, kafkaJars, kafkaStreamsJars, startBrokerProcess, succeed } from './harness.ts'
import { JavaShell } from './java-shell.ts'

const settings = {
  'offsets.topic.num.partitions': '3',
  'transaction.state.log.num.partitions': '3',
  'transaction.abort.timed.out.transaction.cleanup.interval.ms': '500',
}

interface Committed {
  readonly partition: number
  readonly key: string
  readonly value: string
}

/** What a reader of committed records finds, in the order of each partition. One more than `count` is waited for, which would be too many. */
async function committedRecords(shell: JavaShell, topic: string, count: number): Promise<Committed[]> {
  const print = ['print.partition=true', 'print.key=true'].flatMap((property) => ['--formatter-property', property])
  const read = ['--topic', topic, '--from-beginning', '--isolation-level', 'read_committed', '--max-messages', String(count + 1)]
  const { stdout } = await shell.run('consoleConsumer', [...read, '--timeout-ms', '5000', ...print])
  return stdout
    .trim()
    .split('\n')
    .map((line) => line.split('\t'))
    .map(([partition = '', key = '', value = '']) => ({ partition: Number(partition.replace('Partition:', '')), key, value }))
}

const RECORDS = 100_000
const PARTITIONS = 4

test(`Java 4.3: TransactionalMessageCopier copies ${RECORDS} records exactly once, with aborts, restarts, kill -9 of copiers and of the broker`, async (t) => {
  const broker = await startBrokerProcess(t, settings)
  const shell = await JavaShell.start(t, broker.bootstrap)
  for (const topic of ['input', 'output']) await shell.call('topics', ['--create', '--topic', topic, '--partitions', String(PARTITIONS)])
  await shell.call('produce', ['input', String(PARTITIONS), String(RECORDS)])

  const copiers = new Copiers(t, broker, await kafkaJars('4.3.0'))
  copiers.start(0)
  copiers.start(1)
  const kills: (() => Promise<void>)[] = [
    () => copiers.crash(0),
    () => broker.crash(),
    () => copiers.crash(1),
    () => broker.restart(),
    () => copiers.crash(0),
  ]
  for (const [index, kill] of kills.entries()) {
    await copiers.copied((RECORDS * (index + 1)) / (kills.length + 2))
    await kill()
  }
  await copiers.finish(async () => lagOf(await shell.call('consumerGroups', ['--describe', '--group', 'copiers'])) === 0)

  const records = await committedRecords(shell, 'output', RECORDS)
  assert.equal(records.length, RECORDS)
  assert.equal(new Set(records.map(({ value }) => value)).size, RECORDS)
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const values = records.filter((record) => record.partition === partition).map(({ value }) => Number(value))
    assert.ok(
      values.every((value, index) => index === 0 || value > values[index - 1]!),
      `partition ${partition} keeps the order of its input`,
    )
  }
  const listed = await shell.call('transactions', ['list'])
  for (const id of ['copier-0', 'copier-1']) assert.match(listed, new RegExp(`${id}\\s+1\\s+\\d+\\s+(Empty|CompleteCommit|CompleteAbort)`))
})

/** Of all partitions; undefined where something was never committed. */
function lagOf(described: string): number | undefined {
  const lags = described
    .split('\n')
    .filter((line) => /^copiers /.test(line))
    .map((line) => Number(line.split(/\s+/)[5]))
  return lags.length === PARTITIONS ? lags.reduce((sum, lag) => sum + lag, 0) : undefined
}

/** Copiers of one group, each with a transactional id of its own, that are started again until everything is copied. */
class Copiers {
  readonly #t: TestContext
  readonly #broker: BrokerProcess
  readonly #jars: string
  readonly #running = new Map<number, BackgroundProcess>()
  #crashes = 0
  #copied = 0

  constructor(t: TestContext, broker: BrokerProcess, jars: string) {
    this.#t = t
    this.#broker = broker
    this.#jars = jars
  }

  start(id: number): void {
    const args = ['--broker-list', this.#broker.bootstrap, '--input-topic', 'input', '--input-partition', '0', '--output-topic', 'output']
    const group = ['--consumer-group', 'copiers', '--group-mode', '--use-group-metadata', '--transactional-id', `copier-${id}`]
    const transactions = ['--transaction-size', '300', '--transaction-timeout', '10000', '--enable-random-aborts']
    const program = ['-cp', this.#jars, 'org.apache.kafka.tools.TransactionalMessageCopier', ...args, ...group, ...transactions]
    let before = 0
    const process = new BackgroundProcess(this.#t, 'java', ['-Xmx256M', ...javaArgs, ...program], (line) => {
      const { totalProcessed } = JSON.parse(line) as { totalProcessed?: string }
      if (totalProcessed === undefined) return
      this.#copied += Number(totalProcessed) - before
      before = Number(totalProcessed)
    })
    this.#running.set(id, process)
  }

  /** Waits until so many records were copied since the start of it all, aborted ones included. */
  async copied(count: number): Promise<void> {
    await this.#keepingThemAlive(() => this.#copied >= count)
  }

  /** kill −9, and another copier in its place. */
  async crash(id: number): Promise<void> {
    await this.#running.get(id)!.kill()
    this.#crashes++
    this.start(id)
  }

  async finish(isDone: () => Promise<boolean>): Promise<void> {
    await this.#keepingThemAlive(isDone)
    await Promise.all([...this.#running.values()].map((copier) => copier.kill()))
  }

  /** One ends when nothing is left of the partitions that it has, or when somebody else has taken over its transactional id. */
  async #keepingThemAlive(until: () => boolean | Promise<boolean>): Promise<void> {
    const deadline = performance.now() + 240_000
    while (!(await until())) {
      assert.ok(performance.now() < deadline, `${this.#copied} copied, ${this.#crashes} crashes`)
      for (const [id, copier] of this.#running) if (copier.hasEnded) this.start(id)
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }
}

const WORDS = 40
const LINES = 4000
const WORDS_IN_A_LINE = 3

test('Kafka Streams 4.3: a word count with exactly_once_v2 counts every word once, through kill -9 of an instance and of the broker', async (t) => {
  const broker = await startBrokerProcess(t, settings)
  const shell = await JavaShell.start(t, broker.bootstrap)
  for (const topic of ['lines', 'counts']) await shell.call('topics', ['--create', '--topic', topic, '--partitions', '2'])
  const stateDir = mkdtempSync(join(tmpdir(), 'tidelog-streams-'))
  t.after(() => rmSync(stateDir, { recursive: true, force: true }))
  const program = ['-Xmx256M', ...javaArgs, '-cp', await kafkaStreamsJars(), join(compatDir, 'java', 'WordCount.java'), broker.bootstrap]
  const instance = (name: string) => new BackgroundProcess(t, 'java', [...program, join(stateDir, name)])
  const counted = (of: BackgroundProcess, count: number) => of.until(`${count} words counted`, () => of.lines.includes(`counted ${count}`))

  const expected = new Map<string, number>()
  const write = async (from: number, to: number) => {
    const lines = Array.from({ length: to - from }, (_, index) =>
      Array.from({ length: WORDS_IN_A_LINE }, (_, place) => `word-${((from + index) * (place + 1)) % WORDS}`),
    )
    for (const word of lines.flat()) expected.set(word, (expected.get(word) ?? 0) + 1)
    const input = lines.map((words) => `${words.join(' ')}\n`).join('')
    await succeed(
      'java',
      [
        ...javaArgs,
        '-cp',
        await kafkaJars('4.3.0'),
        'org.apache.kafka.tools.ConsoleProducer',
        '--bootstrap-server',
        broker.bootstrap,
        '--topic',
        'lines',
      ],
      { input },
    )
  }
  await write(0, LINES / 2)
  const first = instance('a')
  await counted(first, 1500)
  await first.kill()
  const second = instance('a')
  await counted(second, 500)
  await broker.crash()
  await write(LINES / 2, LINES)
  const total = LINES * WORDS_IN_A_LINE
  const group = async () => shell.call('consumerGroups', ['--describe', '--group', 'word-count'])
  let described = await group()
  for (const deadline = performance.now() + 90_000; performance.now() < deadline && !hasReadAll(described); ) described = await group()

  const records = await committedRecords(shell, 'counts', total)
  await second.kill()
  const counts = new Map<string, number>()
  for (const { key, value } of records) {
    assert.equal(Number(value), (counts.get(key) ?? 0) + 1, `the next count of ${key}`)
    counts.set(key, Number(value))
  }
  assert.deepEqual(new Map([...counts].sort()), new Map([...expected].sort()))
})

const hasReadAll = (described: string): boolean => {
  const rows = described.split('\n').filter((line) => /^word-count /.test(line))
  return rows.length > 0 && rows.every((line) => line.split(/\s+/)[5] === '0')
}
