import type { OffloadThread, ThreadOffload } from '@tidelog/core'
import { CleaningError, type CleaningFailure } from './cleaning-error.ts'
import type { BuiltMap, CleanedGroup, Cleaning, GroupRequest, MapRequest } from './segment-cleaner.ts'

/** What the thread is asked; only the first has `slots`. */
export type CleanerCall = MapRequest | GroupRequest

export type CleanerAnswer = { readonly output: BuiltMap | CleanedGroup } | { readonly failure: CleaningFailure; readonly message: string }

/** Cleans in a thread, which starts with the first request and serves one log after the other until it is ended. */
export class ThreadedCleaner implements Cleaning {
  readonly #offload: ThreadOffload
  #thread: OffloadThread | undefined

  constructor(offload: ThreadOffload) {
    this.#offload = offload
  }

  async buildMap(request: MapRequest): Promise<BuiltMap> {
    return (await this.#call(request)) as BuiltMap
  }

  async cleanGroup(request: GroupRequest): Promise<CleanedGroup> {
    return (await this.#call(request)) as CleanedGroup
  }

  /** Ends the thread, amid its work too: what waits rejects with a CleaningError `gone`. Another request starts another thread. */
  async end(): Promise<void> {
    const thread = this.#thread
    this.#thread = undefined
    await thread?.end()
  }

  async #call(request: CleanerCall): Promise<BuiltMap | CleanedGroup> {
    this.#thread ??= this.#offload.startThread(new URL('./cleaner-worker.js', import.meta.url))
    const thread = this.#thread
    let answer: CleanerAnswer
    try {
      answer = (await thread.call(request)) as CleanerAnswer
    } catch (error) {
      const wasEnded = this.#thread !== thread
      if (!wasEnded) this.#thread = undefined
      await thread.end() // it writes nothing any more
      throw wasEnded ? new CleaningError('gone', 'the cleaning was ended', { cause: error }) : error
    }
    if ('failure' in answer) throw new CleaningError(answer.failure, answer.message)
    return answer.output
  }
}
