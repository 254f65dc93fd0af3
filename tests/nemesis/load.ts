import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, type WriteStream } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { installed, root, run, succeed } from '../compat/harness.ts'
import { within } from './battered-broker.ts'
import { HistoryChecker, type Verdict } from './checker.ts'
import { type HistoryEvent, parseEvent } from './history.ts'

/** The driver's own limits, and some. */
const SETTLE_LIMIT_MS = 400_000

export const hasGo = async (): Promise<boolean> => (await run('go', ['version']).catch(() => ({ code: 1 }))).code === 0

/** franz-go's part, tests/nemesis/go. @returns The path of the program. */
export async function buildDriver(): Promise<string> {
  const path = join(await installed('nemesis', () => Promise.resolve()), 'driver')
  await succeed('go', ['build', '-o', path, '.'], { cwd: join(root, 'tests', 'nemesis', 'go'), timeoutMs: 300_000 })
  return path
}

/** Keeps the history in a file, for excerpts, and has it judged as it comes. */
export class Recorder {
  readonly path: string
  readonly #file: WriteStream
  readonly #checker = new HistoryChecker()
  readonly #startedMs = performance.now()
  #verdict: Verdict | undefined
  acked = 0

  constructor(path: string) {
    this.path = path
    this.#file = createWriteStream(path)
  }

  line(line: string): HistoryEvent {
    const event = parseEvent(line)
    this.#file.write(`${line}\n`)
    this.#checker.add(event)
    if (event.op === 'send' && event.type === 'ok') this.acked++
    return event
  }

  fault(type: 'invoke' | 'ok', fault: string): void {
    const time = Math.round(performance.now() - this.#startedMs)
    this.line(JSON.stringify({ time, process: 0, client: 'nemesis', op: 'nemesis', type, fault }))
  }

  async finish(): Promise<Verdict> {
    if (this.#verdict === undefined) {
      this.#verdict = this.#checker.finish()
      this.#file.end()
      await once(this.#file, 'close')
    }
    return this.#verdict
  }
}

/** franz-go clients that send, read and commit until they are told to finish. */
export class Driver {
  readonly #child: ChildProcess
  readonly #ended: Promise<number | null>
  #hasEnded = false
  #isDone = false
  #stderr = ''

  /** @param options.isBrief Producers and a reader of the topics without transactions, who wait for seconds only for what was acked and is not there. */
  constructor(path: string, options: { port: number; rate: number; seed: number; isBrief?: boolean }, recorder: Recorder) {
    const { port, rate, seed, isBrief = false } = options
    const args = ['-bootstrap', `127.0.0.1:${port}`, '-rate', String(rate), '-seed', String(seed), ...(isBrief ? ['-brief'] : [])]
    this.#child = spawn(path, args, { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child.stdin!.on('error', () => {}) // it may end first
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-20_000)
    })
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      if (recorder.line(line).op === 'end') this.#isDone = true
    })
    this.#ended = once(this.#child, 'close').then(([code]) => {
      this.#hasEnded = true
      return code as number | null
    })
  }

  /** @throws Error when it has ended on its own account. */
  check(): void {
    if (this.#hasEnded) throw new Error(`the driver has ended\n${this.#stderr}`)
  }

  /** Has it send no more and read everything; resolves when it is done. */
  async finish(): Promise<void> {
    this.#child.stdin!.end('stop\n')
    const code = await within(SETTLE_LIMIT_MS, 'the driver has read everything', this.#ended)
    if (code !== 0 || !this.#isDone) throw new Error(`the driver ended with ${code}\n${this.#stderr}`)
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#ended
  }
}
