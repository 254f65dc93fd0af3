import { type Api, Fetch, Produce } from '@tidelog/protocol'

/**
 * The versions from which on a broker answers first, and wants to be left alone by the client for `throttleTimeMs` then. In older ones it has held the answer back for that time, which is over when it
 * comes. Source: KIP-219.
 */
const oldestThatAnswersFirst: ReadonlyMap<Api, number> = new Map<Api, number>([
  [Produce, 6],
  [Fetch, 8],
])

/** For how long an answer asks to be left alone, in ms; 0 where the broker has waited itself, or does not say. */
export function throttleMsOf(api: Api, version: number, response: unknown): number {
  const oldest = oldestThatAnswersFirst.get(api)
  if (oldest === undefined || version < oldest) return 0
  return (response as { readonly throttleTimeMs: number }).throttleTimeMs
}
