import { KafkaError } from '@tidelog/protocol'
import { RE2JS, RE2JSException, RE2JSSyntaxException } from 're2js'
import { newDeadline } from '../../steps/deadline-heap.ts'
import type { GroupStepBuilder } from '../group-step.ts'
import type { ConsumerGroup } from './consumer-group.ts'
import { type ConsumerMember, regexOf } from './consumer-member.ts'
import type { ConsumerRecord, ResolvedRegex } from './consumer-record.ts'
import type { ConsumerRoom, MayDescribe } from './consumer-room.ts'

/** At least so long between two matchings of a group's expressions. Kafka's constant. */
const minRefreshMs = 10_000
/** Matched again after so long: what a member may see can have changed. Default of group.consumer.regex.refresh.interval.ms. */
const refreshMs = 10 * 60_000
/** Names that are matched without letting others have the event loop. */
const namesPerTurn = 500

/** Did a heartbeat change the member's expression, and are the topics of the new one known already? */
export type RegexChange = 'none' | 'changed' | 'changed to a known one'

/** Parses RE2's syntax, which is matched in linear time. @throws KafkaError INVALID_REGULAR_EXPRESSION */
function compile(regex: string): RE2JS {
  try {
    return RE2JS.compile(regex)
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error
    const reason = error instanceof RE2JSSyntaxException ? error.getDescription() : error.message
    throw new KafkaError('INVALID_REGULAR_EXPRESSION', `SubscribedTopicRegex \`${regex}\` is not a valid regular expression: ${reason}.`)
  }
}

/** Finds the topics that the regular expressions of consumer groups stand for, a stretch of names at a time. */
export class RegularExpressions {
  readonly #room: ConsumerRoom

  constructor(room: ConsumerRoom) {
    this.#room = room
  }

  /**
   * What a heartbeat's expression changes; has the group's expressions matched when that is due. Their topics come with a later step.
   * @throws KafkaError INVALID_REGULAR_EXPRESSION
   */
  update(
    step: GroupStepBuilder,
    group: ConsumerGroup,
    change: { member: ConsumerMember; updated: ConsumerMember; records: ConsumerRecord[]; mayDescribe: MayDescribe },
  ): RegexChange {
    const { member, updated, records, mayDescribe } = change
    let result: RegexChange = 'none'
    let isDue = false
    if (member.subscribedTopicRegex !== updated.subscribedTopicRegex) {
      result = 'changed'
      const [old, next] = [regexOf(member), regexOf(updated)]
      if (old !== undefined && group.regexSubscribers.get(old) === 1) {
        records.push({ kind: 'consumer-regex', group: group.id, regex: old, value: null })
      }
      if (next === undefined) {
        if (old !== undefined) result = 'changed to a known one'
      } else if (!group.regexSubscribers.has(next)) {
        compile(next)
        isDue = true
      } else if (group.resolvedRegexes.has(next)) result = 'changed to a known one'
    }
    if ((isDue || group.regexSubscribers.size > 0) && !group.isResolvingRegexes) this.#resolveIfDue(step, group, change, isDue, mayDescribe)
    return result
  }

  #resolveIfDue(
    step: GroupStepBuilder,
    group: ConsumerGroup,
    { member, updated }: { member: ConsumerMember; updated: ConsumerMember },
    isRequired: boolean,
    mayDescribe: MayDescribe,
  ): void {
    const [last] = group.resolvedRegexes.values()
    const nowMs = step.now.wallMs
    if (last !== undefined && nowMs <= last.timestampMs + minRefreshMs) return
    const regexes = group.regexSubscribersWith(member, updated)
    const isDue =
      isRequired ||
      regexes.size !== group.resolvedRegexes.size ||
      (last?.version ?? 0) < this.#room.topics.versionOfNewTopics ||
      (last !== undefined && nowMs > last.timestampMs + refreshMs)
    if (!isDue || regexes.size === 0) return
    this.#start(step, group, [...regexes.keys()], mayDescribe)
  }

  #start(step: GroupStepBuilder, group: ConsumerGroup, regexes: readonly string[], mayDescribe: MayDescribe): void {
    const { topics, deadlines } = this.#room
    const resolved = regexes.map((regex) => ({ regex, compiled: compile(regex), topics: new Set<string>() }))
    const names = [...topics.names()]
    const { versionOfNewTopics: version } = topics
    const timestampMs = step.now.wallMs
    group.isResolvingRegexes = true
    let next = 0
    const turn = newDeadline<GroupStepBuilder>((due) => {
      if (!this.#room.isCurrent(group)) return
      for (const name of names.slice(next, next + namesPerTurn)) {
        for (const each of resolved) if (each.compiled.matches(name) && mayDescribe(name)) each.topics.add(name)
      }
      next += namesPerTurn
      if (next < names.length) {
        deadlines.set(turn, due.now.monotonicMs + 1)
        return
      }
      group.isResolvingRegexes = false
      this.#take(due, group, new Map(resolved.map((each) => [each.regex, { topics: each.topics, version, timestampMs }])))
    })
    deadlines.set(turn, step.now.monotonicMs)
  }

  #take(step: GroupStepBuilder, group: ConsumerGroup, resolved: ReadonlyMap<string, ResolvedRegex>): void {
    const { changes, hashes } = this.#room
    const records: ConsumerRecord[] = []
    let changed = false
    const regexes = new Map(group.resolvedRegexes)
    for (const [regex, value] of resolved) {
      // Nobody names it any more.
      if (!group.regexSubscribers.has(regex)) continue
      const old = group.resolvedRegexes.get(regex)?.topics ?? new Set()
      if (old.size !== value.topics.size || [...old].some((name) => !value.topics.has(name))) changed = true
      regexes.set(regex, value)
      records.push({ kind: 'consumer-regex', group: group.id, regex, value })
    }
    const names = new Set<string>()
    for (const [name, { byName }] of group.subscriptions) if (byName > 0) names.add(name)
    for (const { topics } of regexes.values()) for (const name of topics) names.add(name)
    const metadataHash = hashes.ofSubscription(names)
    if (changed || metadataHash !== group.metadataHash) {
      const epoch = group.epoch + 1
      records.push({ kind: 'consumer-group', group: group.id, value: { epoch, metadataHash } })
      group.metadataRefreshed(epoch)
    }
    if (records.length > 0) changes.apply(step, group, { records }, () => {})
  }
}
