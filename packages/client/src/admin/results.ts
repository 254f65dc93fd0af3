import type { Outcome } from '../cluster/outcome.ts'
import { ClientError, PartialFailureError } from '../errors.ts'

/**
 * The values, when all of them are there.
 * @throws The failure itself when one thing was asked for, else PartialFailureError
 */
export function allOrThrow<V>(what: string, outcomes: Iterable<readonly [name: string, outcome: Outcome<V>]>): V[] {
  const failures = new Map<string, ClientError>()
  const succeeded: string[] = []
  const values: V[] = []
  for (const [name, { value, error }] of outcomes) {
    if (error !== undefined) failures.set(name, error)
    else {
      succeeded.push(name)
      values.push(value)
    }
  }
  if (failures.size === 0) return values
  if (failures.size === 1 && succeeded.length === 0) throw [...failures.values()][0]!
  throw new PartialFailureError(what, failures, succeeded)
}

export const failureOf = (error: unknown): { readonly error: ClientError } => {
  if (error instanceof ClientError) return { error }
  throw error
}
