/** The brokers that are compared, each started for one measurement and ended behind it. */
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cacheDir, root } from './kbench.ts'
import { answers, endProcess, mustSucceed } from './processes.ts'

const kafkaVersion = '4.3.0'
const jars = join(cacheDir, `apache-kafka-${kafkaVersion}`)

export interface BenchBroker {
  readonly port: number
  /** Settings of server.properties beside those that every run has. */
  readonly overrides?: Readonly<Record<string, string>>
}

/**
 * Runs `work` against a new broker with a directory of its own, which goes with it.
 * @param which `kafka`: Apache Kafka 4.3, which needs Java 17 and, once, Maven; anything else: ours.
 */
export async function withBroker<T>(
  which: string,
  { port, overrides = {} }: BenchBroker,
  work: (pid: number, startupSeconds: number) => Promise<T>,
): Promise<T> {
  if (which === 'kafka') fetchKafka()
  const dir = mkdtempSync(join(tmpdir(), `bench-${which}-`))
  const [command, args] = which === 'kafka' ? kafkaCommand(dir, port, overrides) : tidelogCommand(dir, port, overrides)
  const startedAt = performance.now()
  const child = spawn(command, args, { stdio: 'ignore' })
  try {
    while (!(await answers(port))) {
      if (child.exitCode !== null) throw new Error(`${which} ended before it answered: ${command} ${args.join(' ')}`)
      if (performance.now() - startedAt > 60_000) throw new Error(`${which} did not answer within 60 s`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    return await work(child.pid!, (performance.now() - startedAt) / 1000)
  } finally {
    await endProcess(child)
    rmSync(dir, { recursive: true, force: true })
  }
}

function tidelogCommand(dir: string, port: number, overrides: Readonly<Record<string, string>>): [string, string[]] {
  const settings = { listeners: `PLAINTEXT://127.0.0.1:${port}`, 'log.dirs': dir, ...overrides }
  return [
    join(root, 'bin', 'tidelog'),
    ['start', ...Object.entries(settings).flatMap(([name, value]) => ['--override', `${name}=${value}`])],
  ]
}

function kafkaCommand(dir: string, port: number, overrides: Readonly<Record<string, string>>): [string, string[]] {
  const file = join(dir, 'server.properties')
  const properties = {
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.voters': `1@127.0.0.1:${port + 1}`,
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${port + 1}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
    'controller.listener.names': 'CONTROLLER',
    'log.dirs': join(dir, 'data'),
    'offsets.topic.replication.factor': 1,
    'transaction.state.log.replication.factor': 1,
    'transaction.state.log.min.isr': 1,
    'group.initial.rebalance.delay.ms': 0,
    ...overrides,
  }
  writeFileSync(
    file,
    Object.entries(properties)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
  )
  mustSucceed('java', ['-cp', `${jars}/*`, 'kafka.tools.StorageTool', 'format', '-t', 'abcdefghijklmnopqrstug', '-c', file])
  return ['java', ['-Xms1G', '-Xmx1G', '-XX:+UseG1GC', '-cp', `${jars}/*`, 'kafka.Kafka', file]]
}

function fetchKafka(): void {
  if (readdirSync(cacheDir).includes(`apache-kafka-${kafkaVersion}`)) return
  const pom = join(root, 'tests', 'compat', 'java', 'pom.xml')
  mustSucceed('mvn', [
    '-q',
    '-B',
    '-f',
    pom,
    'dependency:copy-dependencies',
    `-Dkafka.version=${kafkaVersion}`,
    `-DoutputDirectory=${jars}`,
  ])
}
