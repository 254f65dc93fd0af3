import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Random } from '@tidelog/core'

/** How a process ended. */
export interface Ending {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** It takes seconds where the machine has other work; what takes longer hangs. */
const START_LIMIT_MS = 120_000
const END_LIMIT_MS = 120_000

/** A broker as a process, started again and again on one directory and port. */
export class BatteredBroker {
  readonly port: number
  readonly #command: readonly string[]
  readonly #env: Readonly<Record<string, string>>
  readonly #logFd: number
  #child: ChildProcess | undefined
  #ended: Promise<Ending> = Promise.resolve({ code: 0, signal: null })
  /** Ms from the start of the process to its line that it serves, for every start. */
  readonly startMs: number[] = []

  /** @param options.logFd Where its standard error goes. */
  constructor(options: { port: number; command: readonly string[]; env?: Readonly<Record<string, string>>; logFd: number }) {
    this.port = options.port
    this.#command = options.command
    this.#env = options.env ?? {}
    this.#logFd = options.logFd
  }

  /** Starts it. @returns How it ended when it ended before it served. */
  async tryStart(): Promise<Ending | undefined> {
    const startedMs = performance.now()
    const [command, ...args] = this.#command
    const child = spawn(command!, args, { stdio: ['ignore', 'pipe', this.#logFd], env: { ...process.env, ...this.#env } })
    this.#child = child
    this.#ended = once(child, 'close').then(([code, signal]) => ({ code, signal }) as Ending)
    const serves = once(child.stdout!, 'data').then(() => undefined)
    const ending = await within(START_LIMIT_MS, 'the broker serves, or says that it cannot', Promise.race([serves, this.#ended]))
    if (ending === undefined) this.startMs.push(performance.now() - startedMs)
    return ending
  }

  /** @throws Error when it ends before it serves. */
  async start(): Promise<void> {
    const ending = await this.tryStart()
    if (ending !== undefined) throw new Error(`the broker did not start: it ended with ${ending.code ?? ending.signal}`)
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal)
  }

  /** Resolves once it has ended, by itself or by a signal. */
  ended(): Promise<Ending> {
    return within(END_LIMIT_MS, 'the broker ends', this.#ended)
  }

  /** kill −9, unless it has ended. */
  async kill(): Promise<void> {
    this.signal('SIGKILL')
    await this.ended()
  }
}

export async function within<T>(limitMs: number, what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it took longer than ${limitMs / 1000} s until ${what}`)), limitMs)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

export async function until(holds: () => boolean, limitMs: number, what: string): Promise<void> {
  const deadline = performance.now() + limitMs
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`it took longer than ${limitMs / 1000} s until ${what}`)
    await delay(20)
  }
}

export const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/**
 * Leaves behind a log what a kill in the middle of a write can leave: the first part of one more batch. The broker must not be running.
 * @param partitionDir A partition's folder.
 * @returns false when the log has no batch yet.
 */
export function tearTail(partitionDir: string, random: Random): boolean {
  const segment = readdirSync(partitionDir)
    .filter((name) => name.endsWith('.log'))
    .sort()
    .at(-1)
  if (segment === undefined) return false
  const path = join(partitionDir, segment)
  const bytes = readFileSync(path)
  let last: Buffer | undefined
  for (let at = 0; at + 61 <= bytes.length; ) {
    const end = at + 12 + bytes.readInt32BE(at + 8)
    if (end > bytes.length || end <= at + 12) break
    last = bytes.subarray(at, end)
    at = end
  }
  if (last === undefined) return false
  const torn = Buffer.from(last)
  torn.writeBigInt64BE(last.readBigInt64BE(0) + BigInt(last.readInt32BE(23)) + 1n, 0)
  appendFileSync(path, torn.subarray(0, 1 + random.int(torn.length - 1)))
  return true
}
