import type { Logger } from '@tidelog/core'

/** What has been opened, closed in reverse order; one that fails does not keep the rest open. */
export class Closers {
  readonly #closers: { readonly name: string; readonly close: () => void | Promise<void> }[] = []
  readonly #logger: Logger

  constructor(logger: Logger) {
    this.#logger = logger
  }

  add(name: string, close: () => void | Promise<void>): void {
    this.#closers.push({ name, close })
  }

  async close(): Promise<void> {
    for (const { name, close } of this.#closers.splice(0).reverse()) {
      try {
        await close()
      } catch (error) {
        this.#logger.error('closing failed', { what: name, error })
      }
    }
  }
}
