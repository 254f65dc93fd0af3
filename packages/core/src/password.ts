import { inspect } from 'node:util'

const HIDDEN = '[hidden]'

/** A secret from a configuration. It prints as [hidden] in strings, JSON, logs and dumps; `reveal` is the one way to its text. */
export class Password {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  reveal(): string {
    return this.#text
  }

  toString(): string {
    return HIDDEN
  }

  toJSON(): string {
    return HIDDEN
  }

  [inspect.custom](): string {
    return HIDDEN
  }
}
