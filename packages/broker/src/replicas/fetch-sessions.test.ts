import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom, ZERO_UUID } from '@tidelog/core'
import { ManualClock } from '@tidelog/testkit'
import { type FetchedPartition, type FetchPartition, type FetchSessionRequest, FetchSessions } from './fetch-sessions.ts'

function sessionsOf(maxSlots: number) {
  const clock = new ManualClock()
  return { clock, sessions: new FetchSessions({ clock, random: seededRandom(1), maxSlots: () => maxSlots }) }
}

const wanted = (topic: string, fetchOffset = 0, partition = 0): FetchPartition => ({
  topic,
  topicId: ZERO_UUID,
  partition,
  fetchOffset,
  maxBytes: 100,
  currentLeaderEpoch: -1,
  lastFetchedEpoch: -1,
})
const request = (sessionId: number, sessionEpoch: number, partitions: FetchPartition[], rest: Partial<FetchSessionRequest> = {}) => ({
  sessionId,
  sessionEpoch,
  usesTopicIds: false,
  fromFollower: false,
  partitions,
  forgotten: [],
  ...rest,
})
const answered = (rest: Partial<FetchedPartition> = {}): FetchedPartition => ({
  errorCode: 0,
  highWatermark: 5,
  logStartOffset: 0,
  recordsBytes: 0,
  diverged: false,
  ...rest,
})

/** Opens a session over `topics` and returns its id. */
function open(sessions: FetchSessions, topics: string[], rest: Partial<FetchSessionRequest> = {}): number {
  const partitions = topics.map((topic) => wanted(topic))
  return sessions.begin(request(0, 0, partitions, rest)).finish(partitions.map(() => answered())).sessionId
}

test('a session remembers partitions, and its answers name only what is new', () => {
  const { sessions } = sessionsOf(10)
  const id = open(sessions, ['a', 'b'])
  assert.ok(id > 0)
  const second = sessions.begin(request(id, 1, []))
  assert.deepEqual(
    second.partitions.map(({ topic }) => topic),
    ['a', 'b'],
  )
  const answer = second.finish([answered(), answered({ highWatermark: 6, recordsBytes: 10 })])
  assert.equal(answer.sessionId, id)
  assert.deepEqual([answer.includes(0), answer.includes(1)], [false, true])
})

test('a request may add, change and forget partitions; what has sent records comes last next time', () => {
  const { sessions } = sessionsOf(10)
  const id = open(sessions, ['a', 'b'])
  const second = sessions.begin(
    request(id, 1, [wanted('c'), wanted('a', 7)], { forgotten: [{ topic: 'b', topicId: ZERO_UUID, partition: 0 }] }),
  )
  assert.deepEqual(
    second.partitions.map(({ topic, fetchOffset }) => [topic, fetchOffset]),
    [
      ['a', 7],
      ['c', 0],
    ],
  )
  const answer = second.finish([answered({ recordsBytes: 1 }), answered()])
  assert.deepEqual([answer.includes(0), answer.includes(1)], [true, true])
  assert.deepEqual(
    sessions.begin(request(id, 2, [])).partitions.map(({ topic }) => topic),
    ['c', 'a'],
  )
})

test('an error is answered each time, and once more when it is over', () => {
  const { sessions } = sessionsOf(10)
  const id = open(sessions, ['a'])
  const failed = answered({ errorCode: 3, highWatermark: -1 })
  assert.equal(
    sessions
      .begin(request(id, 1, []))
      .finish([failed])
      .includes(0),
    true,
  )
  assert.equal(
    sessions
      .begin(request(id, 2, []))
      .finish([failed])
      .includes(0),
    true,
  )
  assert.equal(
    sessions
      .begin(request(id, 3, []))
      .finish([answered()])
      .includes(0),
    true,
  )
  assert.equal(
    sessions
      .begin(request(id, 4, []))
      .finish([answered()])
      .includes(0),
    false,
  )
})

test('an unknown session, a wrong epoch and a change between names and ids have their own errors', () => {
  const { sessions } = sessionsOf(10)
  assert.equal(sessions.begin(request(99, 1, [])).error, 'FETCH_SESSION_ID_NOT_FOUND')
  const id = open(sessions, ['a'])
  assert.equal(sessions.begin(request(id, 5, [])).error, 'INVALID_FETCH_SESSION_EPOCH')
  assert.equal(sessions.begin(request(id, 1, [], { usesTopicIds: true })).error, 'FETCH_SESSION_TOPIC_ID_ERROR')
})

test('the final epoch and a new full fetch end the session; forgetting everything does too', () => {
  const { sessions } = sessionsOf(10)
  const id = open(sessions, ['a'])
  assert.equal(sessions.begin(request(id, -1, [wanted('a')])).finish([answered()]).sessionId, 0)
  assert.equal(sessions.size, 0)
  const second = open(sessions, ['a'])
  sessions.begin(request(second, 1, [], { forgotten: [{ topic: 'a', topicId: ZERO_UUID, partition: 0 }] }))
  assert.equal(sessions.size, 0)
})

test('a full cache evicts the stale, then the smaller, and gives no session otherwise', () => {
  const { sessions, clock } = sessionsOf(2)
  const first = open(sessions, ['a'])
  const second = open(sessions, ['a', 'b'])
  assert.equal(open(sessions, ['a', 'b', 'c']), 0, 'both are young')
  clock.advance(60_000)
  sessions.begin(request(first, 1, []))
  sessions.begin(request(second, 1, []))
  clock.advance(61_000)
  assert.ok(open(sessions, ['a', 'b', 'c']) > 0, 'the smallest of the old ones goes')
  assert.equal(sessions.begin(request(first, 2, [])).error, 'FETCH_SESSION_ID_NOT_FOUND')
  clock.advance(121_000)
  assert.ok(open(sessions, ['a']) > 0, 'what was not used for two minutes goes')
  assert.equal(sessions.size, 2)
})

test("a follower's session takes a consumer's place, not the other way round", () => {
  const { sessions } = sessionsOf(1)
  const consumer = open(sessions, ['a', 'b'])
  const follower = open(sessions, ['a'], { fromFollower: true })
  assert.ok(follower > 0)
  assert.equal(sessions.begin(request(consumer, 1, [])).error, 'FETCH_SESSION_ID_NOT_FOUND')
  assert.equal(open(sessions, ['a', 'b', 'c']), 0)
})

test('sessions of very many partitions are bounded together', () => {
  const { sessions } = sessionsOf(1000)
  const topics = Array.from({ length: 100_000 }, (_, index) => `t${index}`)
  assert.ok(open(sessions, topics) > 0)
  assert.ok(open(sessions, topics) > 0)
  assert.equal(open(sessions, topics), 0)
})

test('what a request names and forgets at once is forgotten', () => {
  const { sessions } = sessionsOf(10)
  const id = open(sessions, ['a', 'b'])
  const forgotten = [{ topic: 'b', topicId: ZERO_UUID, partition: 0 }]
  const next = sessions.begin(request(id, 1, [wanted('b', 3)], { forgotten }))
  assert.deepEqual(
    next.partitions.map(({ topic }) => topic),
    ['a'],
  )
})
