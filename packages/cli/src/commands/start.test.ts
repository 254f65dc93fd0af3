import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Producer, string } from '@tidelog/client'

const bin = fileURLToPath(new URL('../../../../bin/', import.meta.url))

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

interface Started {
  readonly child: ChildProcess
  /** Of the line that says where it serves. */
  readonly port: number
  readonly ended: Promise<Ended>
}

/** Runs a command of bin/, or of a path, as users do, as a process of its own; kills it when the test ends. */
function run(t: TestContext, name: string, ...args: string[]): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(resolve(bin, name), args, { stdio: ['ignore', 'pipe', 'pipe'] })
  t.after(() => child.kill('SIGKILL'))
  const texts = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream]?.setEncoding('utf8').on('data', (text: string) => {
      texts[stream] += text
    })
  }
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, ...texts }))
  return { child, ended }
}

async function start(t: TestContext, dir: string, ...overrides: string[]): Promise<Started> {
  const words = ['listeners=PLAINTEXT://127.0.0.1:0', `log.dirs=${dir}`, ...overrides].flatMap((word) => ['--override', word])
  const { child, ended } = run(t, 'tidelog', 'start', ...words)
  const [line] = (await Promise.race([once(child.stdout!, 'data'), ended.then(({ stderr }) => Promise.reject(new Error(stderr)))])) as [
    string,
  ]
  const port = /^Tidelog \S+ serves at 127\.0\.0\.1:(\d+) \(node \d+, cluster \S+\)\n$/.exec(line)?.[1]
  assert.ok(port, line)
  return { child, port: Number(port), ended }
}

function tempDir(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'tidelog-start-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

/** What a refused start looks like: one line that says why, nothing on stdout, an exit code. */
async function refused(ended: Promise<Ended>, why: RegExp): Promise<void> {
  const { code, stdout, stderr } = await ended
  assert.deepEqual([code, stdout], [1, ''], stderr)
  assert.match(stderr, why)
  assert.equal(stderr.trimEnd().split('\n').length, 1, stderr)
}

test('X7: SIGTERM under load, twice, stops cleanly with exit code 0, and everything acked is there again', async (t) => {
  const dir = tempDir(t)
  const broker = await start(t, dir)
  const producer = new Producer({
    bootstrapServers: `127.0.0.1:${broker.port}`,
    valueSerializer: string,
    deliveryTimeoutMs: 2000,
    lingerMs: 0,
    requestTimeoutMs: 1000,
  })
  t.after(() => producer.close({ timeoutMs: 0 }))
  let acked = 0
  await producer.send({ topic: 'load', value: 'first' })
  for (let i = 0; i < 2000; i++) producer.enqueue({ topic: 'load', value: `record ${i}` }, (error) => void (error === undefined && acked++))
  broker.child.kill('SIGTERM')
  broker.child.kill('SIGTERM')
  const { code } = await broker.ended
  assert.equal(code, 0)
  await producer.close({ timeoutMs: 0 })
  const again = await start(t, dir)
  const { ended } = run(t, 'tidelog', 'get-offsets', '--bootstrap-server', `127.0.0.1:${again.port}`, '--topic', 'load')
  const end = Number(/^load:0:(\d+)\n$/.exec((await ended).stdout)?.[1])
  assert.ok(end >= acked + 1, `${end} records for ${acked} acks`)
  again.child.kill('SIGINT')
  assert.equal((await again.ended).code, 0)
})

test("Kafka's name for a command reaches the same command, also through a link", async (t) => {
  const broker = await start(t, tempDir(t))
  const server = ['--bootstrap-server', `127.0.0.1:${broker.port}`]
  assert.equal((await run(t, 'kafka-topics.sh', ...server, '--create', '--topic', 'made').ended).stdout, 'Created topic made.\n')
  const link = join(tempDir(t), 'topics')
  symlinkSync(join(bin, 'kafka-topics'), link)
  assert.equal((await run(t, link, ...server, '--list').ended).stdout, 'made\n')
})

test('X7: an occupied port is refused before anything is written', async (t) => {
  const first = await start(t, tempDir(t))
  const dir = join(tempDir(t), 'data')
  const second = run(t, 'tidelog', 'start', '--override', `listeners=PLAINTEXT://127.0.0.1:${first.port}`, '--override', `log.dirs=${dir}`)
  await refused(second.ended, /^Cannot start: listeners: PLAINTEXT:\/\/127\.0\.0\.1:\d+ is in use by another process\n$/)
  assert.equal(existsSync(dir) ? readdirSync(dir).join() : '', '')
})

test('L22: a directory that another process serves is refused, and one that a killed process left is not', async (t) => {
  const dir = tempDir(t)
  const first = await start(t, dir)
  const second = run(t, 'tidelog', 'start', '--override', 'listeners=PLAINTEXT://127.0.0.1:0', '--override', `log.dirs=${dir}`)
  await refused(second.ended, /holds the lock on .*\.lock\n$/)
  first.child.kill('SIGKILL')
  await first.ended
  await start(t, dir)
})

test('X7 L15: a bad setting, a missing file and a foreign directory are each one line, and nothing is touched', async (t) => {
  const dir = tempDir(t)
  const on = (...words: string[]) => run(t, 'tidelog', 'start', '--override', 'listeners=PLAINTEXT://127.0.0.1:0', ...words).ended
  await refused(on('--override', `log.dirs=${dir}`, '--override', 'num.partitions=many'), /^Cannot start: .*num\.partitions/)
  assert.deepEqual(readdirSync(dir), [])
  await refused(on(join(dir, 'missing.properties')), /^Cannot read .*missing\.properties/)
  writeFileSync(
    join(dir, 'meta.properties'),
    'version=1\ncluster.id=EHpeAFvTSlar61FqlHHKnQ\nnode.id=7\ndirectory.id=pLQPL43xRBqO4gKdZKm2PA\n',
  )
  await refused(on('--override', `log.dirs=${dir}`, '--override', 'node.id=3'), /^Cannot start: .*(node\.id|7)/)
  assert.deepEqual(
    readdirSync(dir).filter((name) => name !== '.lock'),
    ['meta.properties'],
  )
})

test('a properties file is taken, and --override wins over it', async (t) => {
  const dir = tempDir(t)
  const file = join(dir, 'server.properties')
  const data = join(dir, 'data')
  writeFileSync(file, `# as Kafka ships it\nbroker.id=0\nlisteners=PLAINTEXT://127.0.0.1:1\nlog.dirs=${data}\nnum.partitions=2\n`)
  const { child } = run(t, 'tidelog', 'start', file, '--override', 'listeners=PLAINTEXT://127.0.0.1:0')
  const [line] = (await once(child.stdout!, 'data')) as [string]
  assert.match(line, /\(node 0, cluster /)
})
