import type { ClientError } from '../errors.ts'

/** What became of one of several things that were asked for: its value, or why there is none. */
export type Outcome<V> = { readonly value: V; readonly error?: undefined } | { readonly value?: undefined; readonly error: ClientError }
