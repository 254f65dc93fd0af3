import type { ClientError } from '../../errors.ts'

/**
 * What a member has been refused for: an ACL that is missing, a group that is full. Nothing is sent while it stands. The next read throws it, and the one after that has
 * it tried again, as in Java's client; what is fatal every read throws.
 */
export class Refusal {
  #error: ClientError | undefined
  #isTold = false

  get stands(): boolean {
    return this.#error !== undefined
  }

  set(error: ClientError): void {
    this.#error = error
    this.#isTold = false
  }

  clear(): void {
    this.#error = undefined
  }

  /** @throws what stands, unless it has been thrown @returns Whether something stood that is to be tried again now. */
  check(): boolean {
    const error = this.#error
    if (error === undefined) return false
    if (!this.#isTold || error.fatal) {
      this.#isTold = true
      throw error
    }
    this.#error = undefined
    return true
  }
}
