import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'

const MAX_KEPT_STDERR = 20_000

/** A foreign program that goes on until it ends by itself or is killed; with the test at the latest. */
export class BackgroundProcess {
  readonly #child: ChildProcess
  readonly #command: string
  readonly #ended: Promise<number | null>
  /** Every line of its standard output so far. */
  readonly lines: string[] = []
  #hasEnded = false
  #stderr = ''
  #wake: (() => void)[] = []

  constructor(t: TestContext, command: string, args: readonly string[], onLine?: (line: string) => void) {
    this.#command = `${command} ${args.join(' ')}`
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child.stdin!.on('error', () => {}) // it may end first
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-MAX_KEPT_STDERR)
    })
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      this.lines.push(line)
      onLine?.(line)
      this.#wakeAll()
    })
    this.#ended = once(this.#child, 'close').then(([code]) => {
      this.#hasEnded = true
      this.#wakeAll()
      return code as number | null
    })
    t.after(() => this.kill())
  }

  get hasEnded(): boolean {
    return this.#hasEnded
  }

  write(text: string): void {
    this.#child.stdin!.write(text)
  }

  /** Waits until something holds, looking again at each line; fails after `timeoutMs`, and when the process ends first. */
  async until(what: string, holds: () => boolean, timeoutMs = 60_000): Promise<void> {
    const deadline = performance.now() + timeoutMs
    while (!holds()) {
      if (this.#hasEnded || performance.now() > deadline) {
        throw new Error(`${what} did not come true${this.#hasEnded ? ' before it ended' : ''}: ${this.description}`)
      }
      await this.#next(deadline - performance.now())
    }
  }

  /** Its end. @returns The exit code, null after a signal. */
  async end(timeoutMs = 60_000): Promise<number | null> {
    const deadline = performance.now() + timeoutMs
    while (!this.#hasEnded) {
      if (performance.now() > deadline) throw new Error(`it did not end: ${this.description}`)
      await this.#next(deadline - performance.now())
    }
    return this.#ended
  }

  /** As `end`, and it must have succeeded. */
  async success(timeoutMs?: number): Promise<void> {
    const code = await this.end(timeoutMs)
    if (code !== 0) throw new Error(`it ended with ${code}: ${this.description}`)
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** kill −9, unless it has ended. */
  async kill(): Promise<void> {
    this.signal('SIGKILL')
    await this.#ended
  }

  /** What it is, and the last that it said. */
  get description(): string {
    return `${this.#command}${this.#hasEnded ? ', ended' : ''}\n${this.lines.slice(-20).join('\n')}\n${this.#stderr}`
  }

  #next(limitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, limitMs)
      this.#wake.push(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  }

  #wakeAll(): void {
    const woken = this.#wake
    this.#wake = []
    for (const wake of woken) wake()
  }
}
