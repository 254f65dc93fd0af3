import { Worker } from 'node:worker_threads'
import { KafkaError } from '../errors.ts'
import { OutputLimitError } from './codec.ts'
import type { ZstdJob, ZstdJobResult } from './zstd-worker.ts'

interface Waiting {
  readonly maxOutputBytes: number
  readonly resolve: (output: Buffer) => void
  readonly reject: (error: Error) => void
}

type NewJob = ZstdJob extends infer Job ? (Job extends { id: number } ? Omit<Job, 'id'> : never) : never

/** An idle thread goes away after this time, and with it the memory that a large batch took. */
const IDLE_MS = 10_000

/** The one thread that runs zstd for this process's event loop, started when it is needed. It keeps the process alive only while it works. */
class ZstdThread {
  #worker: Worker | undefined
  #idle: NodeJS.Timeout | undefined
  #nextId = 0
  readonly #waiting = new Map<number, Waiting>()

  run(job: NewJob): Promise<Buffer> {
    clearTimeout(this.#idle)
    this.#worker ??= this.#start()
    const worker = this.#worker
    worker.ref()
    return new Promise((resolve, reject) => {
      const id = this.#nextId++
      this.#waiting.set(id, { maxOutputBytes: 'maxOutputBytes' in job ? job.maxOutputBytes : 0, resolve, reject })
      // The input is copied: it often is a view on a buffer that is shared with other requests.
      worker.postMessage({ ...job, id })
    })
  }

  #start(): Worker {
    const worker = new Worker(new URL('./zstd-worker.js', import.meta.url), { execArgv: [] })
    worker.on('message', (result: ZstdJobResult) => this.#settle(result))
    worker.on('error', (error) => this.#failAll(worker, error))
    worker.on('exit', (code) => this.#failAll(worker, new Error(`zstd thread ended with code ${code}`)))
    return worker
  }

  #settle(result: ZstdJobResult): void {
    const waiting = this.#waiting.get(result.id)
    this.#waiting.delete(result.id)
    if (this.#waiting.size === 0) this.#rest()
    if (waiting === undefined) return
    if ('output' in result) {
      const { buffer, byteOffset, byteLength } = result.output
      waiting.resolve(Buffer.from(buffer, byteOffset, byteLength))
    } else if (result.failure === 'limit') waiting.reject(new OutputLimitError(waiting.maxOutputBytes))
    else if (result.failure === 'garbage') waiting.reject(new KafkaError('INVALID_RECORD', result.message))
    else waiting.reject(new Error(`zstd thread: ${result.message}`))
  }

  #rest(): void {
    const worker = this.#worker
    worker?.unref()
    this.#idle = setTimeout(() => {
      this.#worker = undefined
      void worker?.terminate()
    }, IDLE_MS)
    this.#idle.unref()
  }

  #failAll(worker: Worker, error: Error): void {
    if (worker !== this.#worker) return
    this.#worker = undefined
    const waiting = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const { reject } of waiting) reject(error)
  }
}

export const zstdThread = new ZstdThread()
