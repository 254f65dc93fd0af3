import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '@tidelog/core'
import { ClientError } from '../../errors.ts'
import { TransactionState } from './transaction-state.ts'

const partition = (index: number) => ({ topic: 'a', partition: index })
const broken = new ClientError('BROKEN', 'it broke')

function open(version: 1 | 2): TransactionState {
  const state = new TransactionState()
  state.beginInit()
  state.endInit(true)
  state.begin(version)
  return state
}

test('version 1: a batch waits until the coordinator has heard of its partition, version 2: none does', () => {
  const first = open(1)
  assert.equal(first.admit(partition(0)), 'wait')
  assert.equal(first.admit(partition(1)), 'wait')
  assert.deepEqual(first.takeWanted(), [partition(0), partition(1)])
  assert.deepEqual(first.takeWanted(), [])
  assert.equal(first.admit(partition(0)), 'wait')
  first.added([partition(0)])
  assert.equal(first.admit(partition(0)), 'yes')
  assert.equal(first.admit(partition(1)), 'wait')
  assert.equal(open(2).admit(partition(0)), 'yes')
})

test('a transaction that nothing was added to ends without its coordinator', () => {
  for (const version of [1, 2] as const) {
    const state = open(version)
    state.beginCommit()
    assert.deepEqual(state.decide(), { endTxn: false, initProducerId: false })
  }
})

test('sequence numbers that got lost cost version 1 a new epoch, and version 2 nothing, whose end brings one', () => {
  for (const version of [1, 2] as const) {
    const state = open(version)
    state.added([partition(0)])
    state.admit(partition(0))
    state.loseNumbers()
    state.fail(broken)
    state.beginAbort()
    assert.deepEqual(state.decide(), { endTxn: true, initProducerId: version === 1 })
    state.completed()
    state.begin(version)
    state.admit(partition(0))
    state.beginCommit()
    assert.equal(state.decide().initProducerId, false)
  }
})

test('an id that the coordinator does not know has nothing to end, and asks for a new one', () => {
  const state = open(2)
  state.admit(partition(0))
  state.forgetId()
  state.fail(broken)
  state.beginAbort()
  assert.deepEqual(state.decide(), { endTxn: false, initProducerId: true })
})

test('an end that is gone on with repeats nothing that the coordinator has done', () => {
  const state = open(1)
  state.added([partition(0)])
  state.loseNumbers()
  state.beginAbort()
  assert.deepEqual(state.decide(), { endTxn: true, initProducerId: true })
  state.ended()
  state.beginAbort()
  assert.deepEqual(state.decide(), { endTxn: false, initProducerId: true })
})

test('version 1: partitions that the coordinator has not answered about may come late, so an abort asks for the next epoch', () => {
  const state = open(1)
  state.admit(partition(0))
  state.takeWanted()
  state.beginAbort()
  assert.deepEqual(state.decide(), { endTxn: true, initProducerId: true })
})

/** The calls of a producer in a random order, against a model that knows what happened and not how it is kept. */
test('random calls: a failed transaction is never committed, a decided one never changes, what is fatal stays, and nothing is admitted outside', () => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32))
  const random = seededRandom(seed)
  for (let run = 0; run < 300; run++) {
    const state = new TransactionState()
    const trail: string[] = []
    let isInitialized = false
    let isOpen = false
    let hasFailed = false
    let isFatal = false
    let begun: 'commit' | 'abort' | undefined
    let decided: 'commit' | 'abort' | undefined
    let known = new Set<number>()
    let hasEndedThere = false
    const outcome = (call: () => void): boolean => {
      try {
        call()
        return true
      } catch (error) {
        assert.ok(error instanceof ClientError)
        return false
      }
    }
    const calls: Record<string, () => void> = {
      init() {
        const isRight = !isInitialized && !isFatal
        assert.equal(
          outcome(() => state.beginInit()),
          isRight,
        )
        if (!isRight) return
        isInitialized = random.int(3) > 0
        state.endInit(isInitialized)
      },
      begin() {
        const isRight = isInitialized && !isOpen && !isFatal
        assert.equal(
          outcome(() => state.begin(1)),
          isRight,
        )
        isOpen ||= isRight
      },
      checkOpen() {
        assert.equal(
          outcome(() => state.checkOpen()),
          isOpen && !hasFailed && !isFatal && begun === undefined,
        )
      },
      add() {
        const wanted = state.takeWanted()
        assert.ok(wanted.length === 0 || (isOpen && !hasFailed && !isFatal && decided === undefined))
        if (wanted.length === 0) return
        state.added(wanted)
        for (const one of wanted) known.add(one.partition)
      },
      admit() {
        const index = random.int(3)
        const answer = state.admit(partition(index))
        const isLive = isOpen && !hasFailed && !isFatal && begun !== 'abort' && decided === undefined
        assert.equal(answer, isLive ? (known.has(index) ? 'yes' : 'wait') : 'no')
      },
      fail() {
        if (decided === 'abort' || begun === 'abort') return
        assert.equal(state.fail(broken), isOpen && !hasFailed && !isFatal)
        if (!isOpen || isFatal) return
        hasFailed = true
        begun = undefined
        decided = undefined
      },
      failForGood() {
        if (random.int(20) > 0) return
        assert.equal(state.failForGood(broken), !isFatal)
        isFatal = true
      },
      commit() {
        const isRight = isOpen && !hasFailed && !isFatal && begun !== 'abort'
        assert.equal(
          outcome(() => state.beginCommit()),
          isRight,
        )
        if (isRight) begun = 'commit'
      },
      abort() {
        const isRight = isOpen && !isFatal && decided !== 'commit'
        assert.equal(
          outcome(() => state.beginAbort()),
          isRight,
        )
        if (!isRight) return
        begun = 'abort'
        hasFailed = false
      },
      end() {
        if (begun === undefined || isFatal) return
        const plan = state.decide()
        assert.equal(plan.endTxn, known.size > 0 && !hasEndedThere)
        decided = begun
        assert.equal(state.unfinishedEnd, decided)
        if (random.int(3) === 0) return
        state.ended()
        hasEndedThere = true
        if (random.int(3) === 0) return
        state.completed()
        isOpen = false
        begun = undefined
        decided = undefined
        known = new Set()
        hasEndedThere = false
      },
    }
    const names = Object.keys(calls)
    try {
      for (let step = 0; step < 60; step++) {
        const name = names[random.int(names.length)]!
        trail.push(name)
        calls[name]!()
        assert.equal(state.isUnfinished, isOpen && !isFatal)
      }
    } catch (error) {
      throw new Error(`SEED=${seed}, run ${run}: ${trail.join(' ')}`, { cause: error })
    }
  }
})
