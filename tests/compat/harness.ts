/**
 * What every suite of foreign clients needs: a broker as its own process, tools with a time limit, installs that are kept.
 *
 * The suites judge us, and are judged themselves: with AGAINST=kafka they run against a real Apache Kafka 4.3.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../../..', import.meta.url))
export const compatDir = join(root, 'tests', 'compat')
/** Foreign clients live here between runs, outside of the clone: installing them takes longer than using them. */
const cacheDir = process.env.COMPAT_CACHE ?? join(homedir(), '.cache', 'tidelog-compat')

export interface Finished {
  code: number | null
  stdout: string
  stderr: string
}

interface RunOptions {
  input?: string
  timeoutMs?: number
  env?: Record<string, string>
  cwd?: string
  /** Called with each line of stdout as it comes; what it returns is written to the tool's stdin. */
  onLine?: (line: string) => Promise<string | undefined>
}

/** Runs a tool to its end; kills it, and fails, after `timeoutMs` (60 s). The exit code is the caller's to judge. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const { input, timeoutMs = 60_000, env, cwd, onLine } = options
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] })
    let stdout = ''
    let stderr = ''
    let seen = 0
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      reject(new Error(`${command} ${args.join(' ')} took longer than ${timeoutMs} ms\n${tail(stdout)}\n${tail(stderr)}`))
    }, timeoutMs)
    child.stdin.on('error', () => {}) // a tool may end before it has read its input
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
      if (onLine === undefined) return
      for (let end = stdout.indexOf('\n', seen); end >= 0; end = stdout.indexOf('\n', seen)) {
        const line = stdout.slice(seen, end)
        seen = end + 1
        onLine(line).then((answer) => answer !== undefined && child.stdin.write(answer), reject)
      }
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    child.on('error', reject)
    child.on('close', (code) => {
      clearTimeout(timer)
      resolve({ code, stdout, stderr })
    })
    if (onLine === undefined) child.stdin.end(input ?? '')
  })
}

/** As `run`, for tools that must succeed: anything but exit code 0 is an error that shows what they printed. */
export async function succeed(command: string, args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const done = await run(command, args, options)
  if (done.code !== 0) {
    throw new Error(`${command} ${args.join(' ')} ended with ${done.code}\n${tail(done.stdout)}\n${tail(done.stderr)}`)
  }
  return done
}

const tail = (text: string): string => text.split('\n').slice(-40).join('\n')

/**
 * Installs something once a machine: `install` fills the folder it is given, and a later run finds it whole or not at all.
 * @returns The folder.
 */
export async function installed(name: string, install: (dir: string) => Promise<void>): Promise<string> {
  const dir = join(cacheDir, name)
  const complete = join(dir, '.complete')
  if (existsSync(complete)) return dir
  rmSync(dir, { recursive: true, force: true })
  mkdirSync(dir, { recursive: true })
  process.stderr.write(`installing ${name}\n`)
  await install(dir)
  writeFileSync(complete, '')
  return dir
}

/** A Debian package's command, installed when it is missing. */
export async function debianCommand(command: string, packageName = command): Promise<string> {
  if ((await run('which', [command])).code !== 0) await installPackage(packageName)
  return command
}

async function installPackage(packageName: string): Promise<void> {
  const [first, ...rest] = [...(process.getuid?.() === 0 ? [] : ['sudo', '-n']), 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-qq']
  const call = (...args: string[]) => succeed(first!, [...rest, ...args], { timeoutMs: 600_000 })
  process.stderr.write(`installing ${packageName} with apt-get\n`)
  await call('update')
  await call('install', '-y', '--no-install-recommends', packageName)
}

/** A Python with one set of packages. @returns The path of its interpreter. */
export async function pythonWith(name: string, packages: readonly string[]): Promise<string> {
  const dir = await installed(`python-${name}`, async (target) => {
    await debianCommand('python3')
    // Debian keeps what venv needs in a package of its own.
    if ((await run('python3', ['-c', 'import ensurepip'])).code !== 0) await installPackage('python3-venv')
    await succeed('python3', ['-m', 'venv', target])
    await succeed(join(target, 'bin', 'pip'), ['install', '-q', ...packages], { timeoutMs: 300_000 })
  })
  return join(dir, 'bin', 'python')
}

/** Runs a program that exercises a client: it prints 'ok NAME' a step, and 'RESTART' where the broker shall be restarted. */
export async function exercise(command: string, args: readonly string[], options: { steps: number; broker: BrokerProcess }): Promise<void> {
  const { steps, broker } = options
  const { stdout } = await succeed(command, args, {
    timeoutMs: 300_000,
    onLine: async (line) => {
      if (line !== 'RESTART') return undefined
      await broker.restart()
      return 'DONE\n'
    },
  })
  assert.equal(stdout.split('\n').filter((line) => line.startsWith('ok ')).length, steps, stdout)
}

/** A JVM that lives for seconds need not optimise. */
export const javaArgs = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1']

/** The jars of Apache Kafka and its tools. @returns The class path. */
export const kafkaJars = (version: KafkaVersion): Promise<string> => jarsOf(`apache-kafka-${version}`, 'pom.xml', version)

/** The jars of Kafka Streams, without RocksDB. @returns The class path. */
export const kafkaStreamsJars = (): Promise<string> => jarsOf('kafka-streams-4.3.0', 'streams-pom.xml', '4.3.0')

async function jarsOf(name: string, pomName: string, version: KafkaVersion): Promise<string> {
  await debianCommand('java', 'default-jdk-headless')
  const dir = await installed(name, async (target) => {
    await debianCommand('mvn', 'maven')
    const pom = join(compatDir, 'java', pomName)
    await succeed(
      'mvn',
      ['-q', '-B', '-f', pom, 'dependency:copy-dependencies', `-Dkafka.version=${version}`, `-DoutputDirectory=${target}`],
      {
        timeoutMs: 600_000,
      },
    )
  })
  return join(dir, '*')
}

/** Runs the main class of one of Apache Kafka's tools. */
export async function kafkaTool(
  version: KafkaVersion,
  mainClass: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Finished> {
  return run('java', ['-Xmx256M', ...javaArgs, '-cp', await kafkaJars(version), mainClass, ...args], options)
}

// --- brokers ---------------------------------------------------------------------------------------------------------------------

export interface BrokerProcess {
  readonly bootstrap: string
  readonly port: number
  readonly dir: string
  /** Stops it cleanly and starts it again on the same directory and port. */
  restart(): Promise<void>
  /** kill −9, and a start on what that left behind. */
  crash(): Promise<void>
  /** kill −9. */
  kill(): Promise<void>
  stop(): Promise<void>
}

/** Ours, or Apache Kafka in one of the two versions whose wire we span. */
export type BrokerKind = 'tidelog' | 'kafka-4.3' | 'kafka-3.9'

/** What an Apache Kafka is to have besides its plain listener. */
export interface KafkaExtras {
  /** Further listeners by name, on 127.0.0.1 and advertised as localhost. */
  readonly listeners: Readonly<Record<string, { readonly protocol: 'SSL' | 'SASL_PLAINTEXT' | 'SASL_SSL'; readonly port: number }>>
  /** `SCRAM-SHA-256=[name=…,password=…]`, as kafka-storage takes them. */
  readonly scramUsers: readonly string[]
  /** Folders of further classes. */
  readonly classPath?: readonly string[]
}

/** A broker in an empty directory, ours unless `kind` or AGAINST=kafka (4.3) says otherwise; it ends with the test. */
export async function startBrokerProcess(
  t: TestContext,
  overrides: Record<string, string> = {},
  kind: BrokerKind = process.env.AGAINST === 'kafka' ? 'kafka-4.3' : 'tidelog',
  extras?: KafkaExtras,
): Promise<BrokerProcess> {
  return brokersInTurn(t).start(kind, overrides, extras)
}

/** One directory, empty at first, for brokers of any kind, one after the other. Each ends with the test, and the directory goes. */
export function brokersInTurn(t: TestContext): {
  /** The log dir that they share. */
  readonly dir: string
  start(kind: BrokerKind, overrides?: Record<string, string>, extras?: KafkaExtras): Promise<BrokerProcess>
} {
  const dir = mkdtempSync(join(tmpdir(), 'tidelog-compat-'))
  const started: BrokerProcess[] = []
  t.after(async () => {
    for (const broker of started) await broker.kill()
    rmSync(dir, { recursive: true, force: true })
  })
  return {
    dir: join(dir, 'data'),
    async start(kind, overrides = {}, extras = undefined) {
      const broker = await startIn(dir, kind, overrides, extras)
      started.push(broker)
      return broker
    },
  }
}

async function startIn(
  dir: string,
  kind: BrokerKind,
  overrides: Record<string, string>,
  extras: KafkaExtras = { listeners: {}, scramUsers: [] },
): Promise<BrokerProcess> {
  const port = await freePort()
  const settings = { 'group.initial.rebalance.delay.ms': '0', 'auto.create.topics.enable': 'true', ...overrides }
  const launch =
    kind === 'tidelog'
      ? tidelogLauncher(dir, port, settings)
      : await kafkaLauncher(kind === 'kafka-4.3' ? '4.3.0' : '3.9.1', dir, port, settings, extras)
  let child = await launch()
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    const timer = setTimeout(() => child.kill('SIGKILL'), 30_000)
    await gone
    clearTimeout(timer)
  }
  return {
    bootstrap: `127.0.0.1:${port}`,
    port,
    dir: join(dir, 'data'),
    async restart() {
      await end('SIGTERM')
      child = await launch()
    },
    async crash() {
      await end('SIGKILL')
      child = await launch()
    },
    kill: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
  }
}

type Launcher = () => Promise<ChildProcess>

/** `log.dirs` of a test are names of folders in the broker's own directory, the first of which is data. */
function logDirsIn(dir: string, settings: Record<string, string>): string {
  const names = (settings['log.dirs'] ?? 'data').split(',')
  return names.map((name) => join(dir, name)).join(',')
}

function tidelogLauncher(dir: string, port: number, settings: Record<string, string>): Launcher {
  const overrides = Object.entries({ ...settings, listeners: `PLAINTEXT://127.0.0.1:${port}`, 'log.dirs': logDirsIn(dir, settings) })
  const args = [join(root, 'bin', 'tidelog'), 'start', ...overrides.flatMap(([name, value]) => ['--override', `${name}=${value}`])]
  return () => serving(spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] }), (stdout) => stdout.includes(String(port)))
}

type KafkaVersion = '4.3.0' | '3.9.1'

async function kafkaLauncher(
  version: KafkaVersion,
  dir: string,
  port: number,
  settings: Record<string, string>,
  extras: KafkaExtras,
): Promise<Launcher> {
  const others = Object.entries(extras.listeners)
  const extraListeners = (host: string) => others.map(([name, listener]) => `,${name}://${host}:${listener.port}`).join('')
  const controllerPort = await freePort()
  const properties = {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}${extraListeners('127.0.0.1')}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}${extraListeners('localhost')}`,
    'listener.security.protocol.map': [
      'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
      ...others.map(([name, { protocol }]) => `${name}:${protocol}`),
    ].join(','),
    'controller.listener.names': 'CONTROLLER',
    'offsets.topic.replication.factor': '1',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    ...settings,
    'log.dirs': logDirsIn(dir, settings),
  }
  const file = join(dir, 'server.properties')
  writeFileSync(
    file,
    Object.entries(properties)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
  )
  const jars = await kafkaJars(version)
  if (!existsSync(join(dir, 'data', 'meta.properties')))
    await succeed(
      'java',
      [
        ...[...javaArgs, '-cp', jars, 'kafka.tools.StorageTool', 'format', '-t', 'abcdefghijklmnopqrstug', '-c', file],
        ...extras.scramUsers.flatMap((user) => ['--add-scram', user]),
      ],
      // Java reads its arguments as the locale says, and a password may have any characters.
      { env: { LC_ALL: 'C.UTF-8' } },
    )
  return () => {
    const classPath = [jars, ...(extras.classPath ?? [])].join(':')
    const child = spawn('java', ['-Xmx1G', ...javaArgs, '-cp', classPath, 'kafka.Kafka', file], { stdio: ['ignore', 'pipe', 'pipe'] })
    return serving(
      child,
      async () =>
        (
          await run(process.execPath, [
            '-e',
            `require('net').connect(${port},'127.0.0.1').on('connect',()=>process.exit(0)).on('error',()=>process.exit(1))`,
          ])
        ).code === 0,
    )
  }
}

/** Waits until the broker says, or shows, that it serves. */
export async function serving(child: ChildProcess, isReady: (stdout: string) => boolean | Promise<boolean>): Promise<ChildProcess> {
  let stdout = ''
  let stderr = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-20_000)
  })
  const deadline = performance.now() + 60_000
  while (!(await isReady(stdout))) {
    if (child.exitCode !== null || performance.now() > deadline) {
      child.kill('SIGKILL')
      throw new Error(`the broker did not start\n${stdout}\n${stderr}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return child
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => (address !== null && typeof address === 'object' ? resolve(address.port) : reject(new Error('no free port'))))
    })
  })
}
