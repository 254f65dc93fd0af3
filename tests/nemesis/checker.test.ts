import assert from 'node:assert/strict'
import test from 'node:test'
import { HistoryChecker, type Verdict } from './checker.ts'
import { Excerpt } from './excerpt.ts'
import type { HistoryEvent } from './history.ts'

/** An event by hand; what is left out is the same in all. */
type Step = Readonly<Record<string, unknown>>

const event = (step: Step, index: number): HistoryEvent => ({ time: index, process: 1, client: 'test', ...step }) as unknown as HistoryEvent

function judge(...steps: Step[]): Verdict {
  const checker = new HistoryChecker()
  for (const [index, step] of steps.entries()) checker.add(event(step, index))
  return checker.finish()
}

const kindsOf = (...steps: Step[]): string[] => [...judge(...steps).counts.keys()].sort()

const sends = (value: string, more: Step = {}): Step => ({ op: 'send', type: 'invoke', topic: 't', partition: 0, key: 'k', value, ...more })
const acks = (value: string, offset: number, more: Step = {}): Step => ({ ...sends(value), type: 'ok', offset, ...more })
const reads = (process: number, records: [number, string][], more: Step = {}): Step => ({
  op: 'poll',
  type: 'ok',
  mode: 'assign',
  process,
  records: [['t', 0, records.map(([offset, value]) => [offset, value, 'k'])]],
  ...more,
})
const written = (...values: string[]): Step[] => values.flatMap((value, offset) => [sends(value), acks(value, offset)])
const all = (...values: string[]): Step =>
  reads(
    9,
    values.map((value, offset) => [offset, value]),
    { mode: 'final' },
  )
const commits = (process: number, type: string, offset: number): Step => ({
  op: 'commit',
  type,
  process,
  group: 'g',
  offsets: [['t', 0, offset]],
})
const committed = (type: string, offset?: number): Step => ({
  op: 'committed',
  type,
  process: 8,
  group: 'g',
  offsets: offset === undefined ? [] : [['t', 0, offset]],
})

test('a history in which every acked record is read once, in order, has nothing wrong', () => {
  const { anomalies, events } = judge(
    { op: 'assign', type: 'ok', process: 2, offsets: [['t', 0, 0]] },
    ...written('1-0', '1-1', '3-0'),
    reads(2, [
      [0, '1-0'],
      [1, '1-1'],
    ]),
    reads(2, [[2, '3-0']]),
    all('1-0', '1-1', '3-0'),
  )
  assert.deepEqual(anomalies, [])
  assert.equal(events.get('send ok'), 3)
  assert.equal(events.get('read'), 6)
})

test('a record of unknown fate may be there or not; one that was refused may not', () => {
  const unknown = [...written('1-0'), sends('1-1'), { ...sends('1-1'), type: 'info' }]
  assert.deepEqual(kindsOf(...unknown, all('1-0')), [])
  assert.deepEqual(kindsOf(...unknown, all('1-0', '1-1')), [])
  assert.deepEqual(kindsOf(...written('1-0'), sends('1-1'), all('1-0', '1-1')), [], 'never answered')
  const refused = [...written('1-0'), sends('1-1'), { ...sends('1-1'), type: 'fail' }]
  assert.deepEqual(kindsOf(...refused, all('1-0')), [])
  assert.deepEqual(kindsOf(...refused, all('1-0', '1-1')), ['failed write read'])
})

test('an acked record that readers pass is lost; one at the end that nobody reads is unseen', () => {
  assert.deepEqual(kindsOf(...written('1-0', '1-1', '1-2'), reads(9, [[0, '1-0']]), reads(9, [[2, '1-2']])), ['lost write', 'poll skip'])
  assert.deepEqual(kindsOf(...written('1-0', '1-1'), all('1-0')), ['unseen'])
})

test('an acked record whose offset another one has taken is lost, and the offset inconsistent', () => {
  const steps = [...written('1-0', '1-1'), sends('1-2'), acks('1-2', 1), sends('1-3'), acks('1-3', 2), all('1-0', '1-2', '1-3')]
  assert.deepEqual(kindsOf(...steps), ['inconsistent offset', 'lost write'])
})

test('one value at two offsets is a duplicate, be it by ack and read or by two reads', () => {
  assert.deepEqual(kindsOf(...written('1-0'), all('1-0', '1-0')), ['duplicate'])
  assert.deepEqual(kindsOf(sends('1-0'), acks('1-0', 4), all('1-0')), ['duplicate'])
})

test('two values at one offset are found across readers', () => {
  const unknown = [sends('1-0'), { ...sends('1-0'), type: 'info' }, sends('3-0'), { ...sends('3-0'), type: 'info' }]
  assert.deepEqual(kindsOf(...unknown, reads(2, [[0, '1-0']]), reads(9, [[0, '3-0']])), ['inconsistent offset'])
})

test('records of one process in another order than they were sent in are reordered; those of two processes are not', () => {
  assert.deepEqual(kindsOf(sends('1-0'), sends('1-1'), acks('1-1', 0), acks('1-0', 1), all('1-1', '1-0')), ['reorder'])
  assert.deepEqual(kindsOf(sends('1-5'), sends('2-1'), acks('1-5', 0), acks('2-1', 1), all('1-5', '2-1')), [])
})

test('a reader that goes back or skips is found; a gap without records is none, and a seek sets the position', () => {
  const three = written('1-0', '1-1', '1-2')
  const end = all('1-0', '1-1', '1-2')
  assert.deepEqual(kindsOf(...three, reads(2, [[1, '1-1']]), reads(2, [[0, '1-0']]), end), ['nonmonotonic poll'])
  assert.deepEqual(kindsOf(...three, reads(2, [[0, '1-0']]), reads(2, [[2, '1-2']]), end), ['poll skip'])
  assert.deepEqual(kindsOf(...three, { op: 'assign', type: 'ok', process: 2, offsets: [['t', 0, 1]] }, reads(2, [[2, '1-2']]), end), [
    'poll skip',
  ])
  const seek = { op: 'assign', type: 'ok', process: 2, offsets: [['t', 0, 0]] }
  assert.deepEqual(kindsOf(...three, reads(2, [[2, '1-2']]), seek, reads(2, [[0, '1-0']]), end), [])
  const sparse = [sends('1-0'), acks('1-0', 0), sends('1-1'), acks('1-1', 5)]
  assert.deepEqual(kindsOf(...sparse, reads(2, [[0, '1-0']]), reads(2, [[5, '1-1']])), [])
})

test('a member may read again what it owns anew; a group must have read all', () => {
  const member = (process: number, records: [number, string][]): Step => reads(process, records, { mode: 'group', group: 'g' })
  const owns = (process: number): Step => ({ op: 'assigned', type: 'ok', process, group: 'g', offsets: [['t', 0, -1]] })
  const three = written('1-0', '1-1', '1-2')
  const end = all('1-0', '1-1', '1-2')
  const first = member(2, [
    [0, '1-0'],
    [1, '1-1'],
  ])
  assert.deepEqual(kindsOf(...three, owns(2), first, owns(2), member(2, [[1, '1-1']]), owns(3), member(3, [[2, '1-2']]), end), [])
  assert.deepEqual(kindsOf(...three, owns(2), first, member(2, [[1, '1-1']]), member(2, [[2, '1-2']]), end), ['nonmonotonic poll'])
  assert.deepEqual(kindsOf(...three, owns(2), member(2, [[0, '1-0']]), owns(3), member(3, [[2, '1-2']]), end), ['unseen by group'])
})

test('records that nobody sent, that were sent elsewhere or are damaged', () => {
  assert.deepEqual(kindsOf(all('7-7')), ['phantom'])
  assert.deepEqual(kindsOf(sends('1-0', { partition: 1 }), all('1-0')), ['phantom'])
  assert.deepEqual(kindsOf(all('damaged: key "k", value "…"')), ['damaged record'])
})

test('a committed offset that goes back, is forgotten or made up is found', () => {
  const first = [commits(1, 'invoke', 10), commits(1, 'ok', 10), commits(1, 'invoke', 20), commits(1, 'ok', 20)]
  assert.deepEqual(kindsOf(...first, committed('invoke'), committed('ok', 20)), [])
  assert.deepEqual(kindsOf(...first, committed('invoke'), committed('ok', 10)), ['committed offset'])
  assert.deepEqual(kindsOf(...first, committed('invoke'), committed('ok', -1)), ['committed offset'])
  assert.deepEqual(kindsOf(...first, committed('invoke'), committed('ok', 15)), ['committed offset'])
  assert.deepEqual(kindsOf(committed('invoke'), committed('ok', -1)), [])
})

test('commits that overlap a read, or whose fate nobody knows, may be in effect or not; a refused one may not', () => {
  const old = [commits(1, 'invoke', 10), commits(1, 'ok', 10)]
  for (const offset of [10, 20]) {
    assert.deepEqual(kindsOf(...old, committed('invoke'), commits(1, 'invoke', 20), commits(1, 'ok', 20), committed('ok', offset)), [])
    assert.deepEqual(kindsOf(...old, commits(1, 'invoke', 20), commits(1, 'info', 20), committed('invoke'), committed('ok', offset)), [])
  }
  const refused = [...old, commits(1, 'invoke', 20), commits(1, 'fail', 20), committed('invoke')]
  assert.deepEqual(kindsOf(...refused, committed('ok', 20)), ['committed offset'])
  const lower = [...old, commits(2, 'invoke', 5), commits(2, 'ok', 5), committed('invoke')]
  assert.deepEqual(kindsOf(...lower, committed('ok', 5)), [], 'somebody committed less')
})

test('an end offset before what was acked, or before where it was, is found; one that was asked for earlier is not', () => {
  const ask = { op: 'list_offsets', type: 'invoke', process: 8 }
  const end = (offset: number): Step => ({ op: 'list_offsets', type: 'ok', process: 8, offsets: [['t', 0, offset]] })
  const two = written('1-0', '1-1')
  const read = all('1-0', '1-1')
  assert.deepEqual(kindsOf(...two, ask, end(2), read), [])
  assert.deepEqual(kindsOf(...two, ask, end(1), read), ['end offset'])
  assert.deepEqual(kindsOf(ask, ...two, end(0), read), [])
  assert.deepEqual(kindsOf(...two, ask, end(5), ask, end(4), read), ['end offset'])
})

test('a client that is told of lost data, or that its sequence does not fit, is an anomaly of its own', () => {
  assert.deepEqual(kindsOf({ op: 'poll', type: 'fail', mode: 'assign', error: 'data loss' }), ['loss reported'])
  assert.deepEqual(kindsOf(sends('1-0'), { ...sends('1-0'), type: 'info', error: 'OUT_OF_ORDER_SEQUENCE_NUMBER: …' }), ['loss reported'])
})

// --- transactions ----------------------------------------------------------------------------------------------------------------

const inTxn = (transaction: string, ...values: [value: string, partition: number, offset: number][]): Step[] =>
  values.flatMap(([value, partition, offset]) => [sends(value, { partition, transaction }), acks(value, offset, { partition })])
const ends = (transaction: string, type: string, end = 'commit', more: Step = {}): Step => ({ op: 'txn', type, transaction, end, ...more })
const committing = (transaction: string): Step[] => [ends(transaction, 'invoke'), ends(transaction, 'ok')]
const readsOf = (partition: number, ...records: [number, string][]): Step => ({
  ...reads(9, []),
  mode: 'final',
  records: [['t', partition, records.map(([offset, value]) => [offset, value, 'k'])]],
})

test('a transaction that was committed is read whole, one that was aborted or left alone not at all, one of unknown fate either way', () => {
  const two = inTxn('1-0', ['1-0', 0, 0], ['1-1', 1, 0])
  const whole = [readsOf(0, [0, '1-0']), readsOf(1, [0, '1-1'])]
  assert.deepEqual(kindsOf(...two, ...committing('1-0'), ...whole), [])
  assert.deepEqual(kindsOf(...two, ends('1-0', 'invoke'), ...whole), [], 'asked for, and not answered')
  for (const outcome of [[], whole]) assert.deepEqual(kindsOf(...two, ends('1-0', 'invoke'), ends('1-0', 'info'), ...outcome), [])
  assert.deepEqual(kindsOf(...two, ends('1-0', 'invoke', 'abort'), ends('1-0', 'ok', 'abort')), [])
  assert.deepEqual(kindsOf(...two, ends('1-0', 'invoke'), ends('1-0', 'fail')), [])
  assert.deepEqual(kindsOf(...two), [])
})

test('a record of a transaction that was aborted, by its producer, by the broker or for want of an end, must not be read', () => {
  const one = inTxn('1-0', ['1-0', 0, 0])
  const read = readsOf(0, [0, '1-0'])
  assert.deepEqual(kindsOf(...one, ends('1-0', 'invoke', 'abort'), ends('1-0', 'info', 'abort'), read), ['aborted read'])
  assert.deepEqual(kindsOf(...one, ends('1-0', 'invoke'), ends('1-0', 'fail'), read), ['aborted read'])
  assert.deepEqual(kindsOf(...one, read), ['aborted read', 'dirty read'])
})

test('a record that is read before the commit was asked for is dirty, though the commit comes later', () => {
  assert.deepEqual(kindsOf(...inTxn('1-0', ['1-0', 0, 0]), readsOf(0, [0, '1-0']), ...committing('1-0')), ['dirty read'])
})

test('a transaction of which a part is read is torn; one that was committed and is not read is lost', () => {
  const two = inTxn('1-0', ['1-0', 0, 0], ['1-1', 1, 0])
  assert.deepEqual(kindsOf(...two, ...committing('1-0'), readsOf(0, [0, '1-0'])), ['torn transaction'])
  assert.deepEqual(kindsOf(...two, ends('1-0', 'invoke'), readsOf(1, [0, '1-1'])), ['torn transaction'], 'the commit was not answered')
  assert.deepEqual(kindsOf(...two, ...committing('1-0')), ['lost commit'])
})

test('a reader of committed records may pass over aborted ones, not over committed ones', () => {
  const steps = [...inTxn('1-0', ['1-0', 0, 0]), ...inTxn('2-0', ['2-0', 0, 1]), ...inTxn('3-0', ['3-0', 0, 3])]
  const fates = [...committing('1-0'), ends('2-0', 'invoke', 'abort'), ends('2-0', 'ok', 'abort'), ...committing('3-0')]
  assert.deepEqual(kindsOf(...steps, ...fates, reads(2, [[0, '1-0']]), reads(2, [[3, '3-0']])), [])
  const skips = [reads(2, [[0, '1-0']]), reads(2, [[3, '3-0']]), readsOf(0, [0, '1-0'], [1, '2-0'], [3, '3-0'])]
  assert.deepEqual(kindsOf(...steps, ...committing('1-0'), ...committing('2-0'), ...committing('3-0'), ...skips), ['poll skip'])
})

test('offsets that a transaction commits are in effect when it is: then not before, and not once it is aborted', () => {
  const offsets = { group: 'g', offsets: [['t', 0, 20]] }
  const old = [commits(1, 'invoke', 10), commits(1, 'ok', 10)]
  const [asked, done] = [ends('2-0', 'invoke', 'commit', offsets), ends('2-0', 'ok', 'commit', offsets)]
  assert.deepEqual(kindsOf(...old, asked, done, committed('invoke'), committed('ok', 20)), [])
  assert.deepEqual(kindsOf(...old, asked, committed('invoke'), committed('ok', 10), done), [])
  assert.deepEqual(kindsOf(...old, asked, done, committed('invoke'), committed('ok', 10)), ['committed offset'])
  assert.deepEqual(kindsOf(...old, committed('invoke'), committed('ok', 20), asked, done), ['committed offset'])
  const refused = ends('2-0', 'fail', 'commit', offsets)
  assert.deepEqual(kindsOf(...old, asked, refused, committed('invoke'), committed('ok', 20)), ['committed offset'])
})

test('every record is copied once, in order: two copies, none, and copies in another order are found, aborted ones do not count', () => {
  const input = written('1-0', '1-1', '1-2')
  const seen = all('1-0', '1-1', '1-2')
  const copy = (process: number, of: number, offset: number, fate: Step[]): Step[] => {
    const [value, transaction] = [`${process}-${of}`, `${process}-t${of}`]
    const sent = { topic: 'copy', transaction }
    return [
      sends(value, { ...sent, from: ['t', 0, of] }),
      { ...acks(value, offset), topic: 'copy' },
      ...fate.map((end) => ({ ...end, transaction })),
    ]
  }
  const done = committing('')
  const aborted = [ends('', 'invoke', 'abort'), ends('', 'ok', 'abort')]
  const read = (...records: [number, string][]): Step => ({
    ...readsOf(0),
    records: [['copy', 0, records.map(([offset, value]) => [offset, value, 'k'])]],
  })
  const first = copy(5, 0, 0, done)
  assert.deepEqual(kindsOf(...input, seen, ...first, ...copy(5, 1, 2, aborted), ...copy(6, 1, 4, done), read([0, '5-0'], [4, '6-1'])), [])
  const twice = [...first, ...copy(6, 0, 2, done), read([0, '5-0'], [2, '6-0'])]
  assert.deepEqual(kindsOf(...input, seen, ...twice), ['copied twice'])
  const skipping = [...first, ...copy(6, 2, 2, done), read([0, '5-0'], [2, '6-2'])]
  assert.deepEqual(kindsOf(...input, seen, ...skipping), ['not copied'])
  const turned = [...copy(5, 1, 0, done), ...copy(6, 0, 2, done), read([0, '5-1'], [2, '6-0'])]
  assert.deepEqual(kindsOf(...input, seen, ...turned), ['reorder'])
})

test('the last stable offset does not go back, and lies in the partition', () => {
  const ask = (more: Step = {}): Step => ({ op: 'list_offsets', type: 'invoke', process: 8, ...more })
  const end = (offset: number, more: Step = {}): Step => ({
    op: 'list_offsets',
    type: 'ok',
    process: 8,
    offsets: [['t', 0, offset]],
    ...more,
  })
  const stable = { isCommitted: true }
  assert.deepEqual(kindsOf(ask(), end(9), ask(stable), end(5, stable), ask(stable), end(9, stable)), [])
  assert.deepEqual(kindsOf(ask(stable), end(5, stable), ask(stable), end(4, stable)), ['end offset'])
  assert.deepEqual(kindsOf(ask(stable), end(5, stable), ask(), end(4)), ['end offset'])
})

// --- groups ----------------------------------------------------------------------------------------------------------------------

const owner = (op: string, process: number, generation?: number): Step => ({
  op,
  type: 'ok',
  process,
  group: 'g',
  generation,
  offsets: [['t', 0, -1]],
})

test('a partition has one owner in a generation; in the next one it has another, though the old one may not know', () => {
  assert.deepEqual(kindsOf(owner('assigned', 2, 1), owner('revoked', 2, 1), owner('assigned', 3, 2)), [])
  assert.deepEqual(kindsOf(owner('assigned', 2, 1), owner('assigned', 3, 2), owner('lost', 2)), [], 'it was away')
  assert.deepEqual(kindsOf(owner('assigned', 2, 4), owner('assigned', 3, 4)), ['owned twice'])
  const crashed = { op: 'crash_client', type: 'info', process: 2 }
  assert.deepEqual(kindsOf(owner('assigned', 2, 4), crashed, owner('assigned', 3, 4)), [], 'a static member comes again')
})

test('a commit in an earlier generation than that in which another member got the partition is stale; one that was under way is not', () => {
  const commit = (type: string, generation: number): Step => ({ ...commits(2, type, 10), generation })
  const [first, second] = [owner('assigned', 2, 4), owner('assigned', 3, 5)]
  assert.deepEqual(kindsOf(first, commit('invoke', 4), commit('ok', 4), second), [])
  assert.deepEqual(kindsOf(first, commit('invoke', 4), second, commit('ok', 4)), [])
  assert.deepEqual(kindsOf(first, second, commit('invoke', 4), commit('fail', 4)), [])
  assert.deepEqual(kindsOf(first, second, commit('invoke', 4), commit('ok', 4)), ['stale commit'])
  assert.deepEqual(kindsOf(first, second, commit('invoke', 5), commit('ok', 5)), ['owned twice'])
  const offsets = { process: 2, group: 'g', generation: 4, offsets: [['t', 0, 10]] }
  assert.deepEqual(kindsOf(first, second, ends('2-0', 'invoke', 'commit', offsets), ends('2-0', 'ok', 'commit', offsets)), ['stale commit'])
})

test('an excerpt holds what an anomaly is about, and the faults around it', () => {
  const steps = [
    { op: 'nemesis', type: 'invoke', fault: 'pause' },
    ...written('1-0', '1-1', '1-2'),
    { op: 'nemesis', type: 'invoke', fault: 'kill' },
    all('1-0', '1-1', '1-1'),
  ]
  const duplicate = judge(...steps).anomalies.find(({ kind }) => kind === 'duplicate')!
  const excerpt = new Excerpt(duplicate)
  for (const [index, step] of steps.entries()) excerpt.add(event(step, index))
  assert.deepEqual(
    excerpt.lines.map((line) => line.slice(8)),
    [
      'pause begins',
      'test, process 1: send invoke 1-1 to t-0',
      'test, process 1: send ok 1-1 to t-0 at 1',
      'kill begins',
      'test, process 9: poll ok 1-1 at 1, 1-1 at 2',
    ],
  )
})
