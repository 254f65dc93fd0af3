/** Our own code is wrong: something that must hold does not. Never thrown for what comes from outside. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError'
}

/** Asserts what must hold at this point. `message` says what does not hold when it fails. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InvariantError(message)
}
