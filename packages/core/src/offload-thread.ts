import { parentPort, Worker } from 'node:worker_threads'

/** A thread that works on requests in order of arrival and keeps what it likes between them. Requests and answers are copied: nothing is shared. */
export interface OffloadThread {
  /** What the thread makes of `request`. Rejects as the thread's work does, and when the thread ends before it is done. */
  call(request: unknown): Promise<unknown>
  /** Ends the thread at once, amid its work too; files that it has open are closed. What still waits rejects. */
  end(): Promise<void>
}

interface Request {
  readonly id: number
  readonly request: unknown
}

type Answer = { readonly id: number; readonly output: unknown } | { readonly id: number; readonly error: unknown }

interface Waiting {
  readonly resolve: (output: unknown) => void
  readonly reject: (error: unknown) => void
}

/** Starts a worker thread of Node's. It keeps the process alive only while it works. */
export function startNodeThread(entry: URL): OffloadThread {
  // Flags of the program around us (--input-type, --import …) are none of the thread's.
  const worker = new Worker(entry, { execArgv: [] })
  worker.unref()
  const waiting = new Map<number, Waiting>()
  let nextId = 0
  let ended: Error | undefined

  function failAll(error: Error): void {
    ended ??= error
    for (const { reject } of waiting.values()) reject(ended)
    waiting.clear()
  }

  worker.on('message', (answer: Answer) => {
    const settle = waiting.get(answer.id)
    waiting.delete(answer.id)
    if (waiting.size === 0) worker.unref()
    if ('output' in answer) settle?.resolve(answer.output)
    else settle?.reject(answer.error)
  })
  worker.on('error', failAll)
  worker.on('exit', (code) => failAll(new Error(`the thread ended with code ${code}`)))

  return {
    call(request) {
      if (ended !== undefined) return Promise.reject(ended)
      return new Promise((resolve, reject) => {
        const id = nextId++
        waiting.set(id, { resolve, reject })
        worker.ref()
        worker.postMessage({ id, request } satisfies Request)
      })
    },
    async end() {
      failAll(new Error('the thread was ended'))
      await worker.terminate()
    },
  }
}

/** What a thread's entry file calls: answers every request with what `work` makes of it, one after the other. */
export function serveThread(work: (request: unknown) => Promise<unknown>): void {
  const port = parentPort
  let last: Promise<void> = Promise.resolve()
  port?.on('message', ({ id, request }: Request) => {
    last = last.then(async () => {
      let answer: Answer
      try {
        answer = { id, output: await work(request) }
      } catch (error) {
        answer = { id, error }
      }
      port.postMessage(answer)
    })
  })
}
