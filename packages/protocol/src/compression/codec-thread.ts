import { Worker } from 'node:worker_threads'
import { KafkaError } from '../errors.ts'
import { OutputLimitError } from './codec.ts'

interface Job {
  readonly id: number
  readonly codec: 'lz4' | 'zstd'
  readonly input: Uint8Array
}
export type CodecJob = (Job & { readonly level: number }) | (Job & { readonly maxOutputBytes: number })

export type CodecJobResult =
  | { readonly id: number; readonly output: Uint8Array }
  | { readonly id: number; readonly failure: 'limit' | 'garbage' | 'defect'; readonly message: string }

interface Waiting {
  readonly maxOutputBytes: number
  readonly resolve: (output: Buffer) => void
  readonly reject: (error: Error) => void
}

type NewJob = CodecJob extends infer Job ? (Job extends { id: number } ? Omit<Job, 'id'> : never) : never

/** An idle thread goes away after this time, and with it the memory that a large batch took. */
const IDLE_MS = 10_000

/** The one thread that runs WebAssembly codecs for this process's event loop, started when it is needed. It keeps the process alive only while it works. */
class CodecThread {
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
      // The input often is a view on a buffer that is shared with other requests, and would be sent with all of it.
      const input = new Uint8Array(job.input)
      worker.postMessage({ ...job, input, id }, [input.buffer])
    })
  }

  #start(): Worker {
    const worker = new Worker(new URL('./codec-worker.js', import.meta.url), { execArgv: [] })
    worker.on('message', (result: CodecJobResult) => this.#settle(result))
    worker.on('error', (error) => this.#failAll(worker, error))
    worker.on('exit', (code) => this.#failAll(worker, new Error(`codec thread ended with code ${code}`)))
    return worker
  }

  #settle(result: CodecJobResult): void {
    const waiting = this.#waiting.get(result.id)
    this.#waiting.delete(result.id)
    if (this.#waiting.size === 0) this.#rest()
    if (waiting === undefined) return
    if ('output' in result) {
      const { buffer, byteOffset, byteLength } = result.output
      waiting.resolve(Buffer.from(buffer, byteOffset, byteLength))
    } else if (result.failure === 'limit') waiting.reject(new OutputLimitError(waiting.maxOutputBytes))
    else if (result.failure === 'garbage') waiting.reject(new KafkaError('INVALID_RECORD', result.message))
    else waiting.reject(new Error(`codec thread: ${result.message}`))
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

export const codecThread = new CodecThread()
