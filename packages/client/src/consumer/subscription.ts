import type { MetadataCache } from '../cluster/metadata-cache.ts'
import { BrokerError, hasCode, InvalidOptionError } from '../errors.ts'

/** A pattern in RE2's syntax that the group's coordinator matches against whole names of topics; for `groupProtocol: 'consumer'`. KIP-848. */
export class SubscriptionPattern {
  readonly pattern: string

  /** @throws InvalidOptionError for an empty pattern; one that is no RE2 is refused by the coordinator */
  constructor(pattern: string) {
    if (pattern === '') throw new InvalidOptionError('SubscriptionPattern: the pattern is empty')
    this.pattern = pattern
  }

  toString(): string {
    return this.pattern
  }
}

/** What subscribe() was given. */
export type Subscription =
  | { readonly topics: readonly string[] }
  /** Matched by this client against all topics that it may see. */
  | { readonly regExp: RegExp }
  /** Matched by the coordinator. */
  | { readonly serverPattern: string }

/** @throws InvalidOptionError */
export function subscriptionOf(what: readonly string[] | string | RegExp | SubscriptionPattern): Subscription {
  if (what instanceof SubscriptionPattern) return { serverPattern: what.pattern }
  // A global or sticky pattern would remember where it stopped.
  if (what instanceof RegExp) return { regExp: new RegExp(what.source, what.flags.replace(/[gy]/g, '')) }
  const topics = typeof what === 'string' ? [what] : [...new Set(what)]
  if (topics.length === 0 || topics.includes('')) throw new InvalidOptionError('subscribe() needs names of topics')
  return { topics }
}

/** Topics that must be in the metadata before anything is assigned; null: all. */
export const interestOf = (subscription: Subscription): readonly string[] | null =>
  'topics' in subscription ? subscription.topics : 'regExp' in subscription ? null : []

/** Names that the client tells its group: those listed, or those that its own pattern matches now. */
export function topicsOf(subscription: Subscription | undefined, { topics }: MetadataCache, excludesInternal: boolean): readonly string[] {
  if (subscription === undefined || 'serverPattern' in subscription) return []
  if ('topics' in subscription) return subscription.topics
  return [...topics.values()]
    .filter(({ name, isInternal }) => subscription.regExp.test(name) && !(isInternal && excludesInternal))
    .map(({ name }) => name)
}

/** @throws BrokerError for a topic that can never be read under this name, or by this client */
export function checkTopics(names: readonly string[], metadata: MetadataCache): void {
  if (metadata.version === 0) return
  for (const topic of names) {
    const code = metadata.errorOf(topic)
    if (code === 0) continue
    const error = new BrokerError(code, `topic ${topic}`)
    if (hasCode(error, 'INVALID_TOPIC_EXCEPTION', 'TOPIC_AUTHORIZATION_FAILED')) throw error
  }
}
