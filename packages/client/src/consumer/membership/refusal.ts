import { AuthenticationError, type ClientError, TlsError } from '../../errors.ts'

/** Nothing that could be mended would let this member in again. Another password may: a login that was refused is asked for by the next read, and the pool of connections sees to it that this is seldom. */
export const isFinal = (error: ClientError): boolean => error.fatal && !(error instanceof AuthenticationError || error instanceof TlsError)

/**
 * What a member has been refused for: an ACL that is missing, a group that is full. Nothing is sent while it stands. The next read throws it, and the one after that has
 * it tried again, as in Java's client; what is final every read throws.
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
    if (!this.#isTold || isFinal(error)) {
      this.#isTold = true
      throw error
    }
    this.#error = undefined
    return true
  }
}
