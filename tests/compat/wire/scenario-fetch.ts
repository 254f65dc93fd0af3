/** What a consumer can ask for: every version, limits and waits, positions that do not exist, sessions. KIP-74, KIP-227, KIP-320, KIP-516. */
import { DeleteRecords, Fetch, type FetchResponse, type RequestInput } from '@tidelog/protocol'
import { batch, codecs, someRecords, someTimeMs, text } from './odd-batches.ts'
import type { FetchWish, Peer } from './peer.ts'

const noTopic = 'no-such-topic'
const WAIT_MS = 150
/** For what must not wait: longer than any answer takes on a busy machine. */
const LONG_WAIT_MS = 5000
/** Waits are tried in one of so many versions: they take their time. */
const WAITING_EVERY = 3
type Options = Partial<RequestInput<typeof Fetch>>
type Rows = readonly (readonly [topic: string, partition: number, wish?: FetchWish])[]

/** Partition 0: one batch of three, batches of one in each codec but zstd; 1: nothing; 2: records deleted up to 3. */
async function fill(peer: Peer, topic: string, { zstd = true } = {}): Promise<void> {
  await peer.topic(topic, { partitions: 3 })
  await peer.append(topic, batch(someRecords(3)))
  for (const codec of codecs) {
    if (zstd || codec !== 'zstd') await peer.append(topic, batch(someRecords(2, { valueBytes: 50 }), { codec }))
  }
  const headers = [{ key: 'h', value: text('1') }]
  await peer.append(topic, batch([{ timestamp: someTimeMs, key: null, value: null, headers }]))
  for (let index = 0; index < 6; index++) await peer.append(topic, batch(someRecords(1)), 2)
  await peer.call(DeleteRecords, 2, { topics: [{ name: topic, partitions: [{ partitionIndex: 2, offset: 3 }] }], timeoutMs: 5000 })
}

export async function fetchInEveryVersion(peer: Peer): Promise<void> {
  const versions = peer.versions(Fetch)
  await fill(peer, 'fetched', { zstd: false })
  await peer.topic('with-zstd')
  await peer.append('with-zstd', batch(someRecords(2)))
  await peer.append('with-zstd', batch(someRecords(2), { codec: 'zstd' }))
  await peer.topic('zstd-by-config', { configs: { 'compression.type': 'zstd' } })
  await peer.append('zstd-by-config', batch(someRecords(2)))
  for (const version of versions) {
    const see = (what: string, rows: Rows, options: Options = {}) =>
      peer.see(`Fetch ${version}: ${what}`, Fetch, version, peer.fetchRequest(version, rows, options))
    const timed = (what: string, rows: Rows, options: Options = {}) =>
      peer.seeTimed(
        `Fetch ${version}: ${what}`,
        Fetch,
        version,
        peer.fetchRequest(version, rows, options),
        Math.max(0, options.maxWaitMs ?? 0) || LONG_WAIT_MS,
      )
    await see('all partitions', [
      ['fetched', 0],
      ['fetched', 1],
      ['fetched', 2, { offset: 3 }],
    ])
    for (const offset of [1, 4, 7, 11, 12]) await see(`from offset ${offset}`, [['fetched', 0, { offset }]])
    for (const offset of [13, 99, -1, -2]) await see(`from offset ${offset}`, [['fetched', 0, { offset }]])
    await see('below the log start', [['fetched', 2, { offset: 2 }]])
    await see('from the log start', [['fetched', 2, { offset: 3 }]])
    await see('unknown partitions', [
      ['fetched', 3],
      ['fetched', -1],
    ])
    await see('unknown topic', [[noTopic, 0]])
    await see('unknown topic beside a known one', [
      [noTopic, 0],
      ['fetched', 0, { offset: 11 }],
    ])
    if (version < 13)
      await see('bad names', [
        ['a/b', 0],
        ['', 0],
      ])
    await see('no topics', [])
    for (const maxBytes of [0, 1, 75, 85, 200, -1]) {
      await see(`partition max bytes ${maxBytes}`, [
        ['fetched', 0, { maxBytes }],
        ['fetched', 2, { offset: 3, maxBytes }],
      ])
      if (version >= 3)
        await see(
          `max bytes ${maxBytes}`,
          [
            ['fetched', 0],
            ['fetched', 2, { offset: 3 }],
          ],
          { maxBytes },
        )
    }
    await see('a partition twice', [
      ['fetched', 0, { offset: 11 }],
      ['fetched', 0, { offset: 12 }],
    ])
    if (version % WAITING_EVERY === 0) {
      const unknownToo: Rows = [
        ['fetched', 1],
        [noTopic, 0],
      ]
      await timed('min bytes not there', [['fetched', 0]], { minBytes: 1_000_000, maxWaitMs: WAIT_MS })
      await timed('at the end', [['fetched', 1]], { minBytes: 1, maxWaitMs: WAIT_MS })
      await timed('an unknown topic too', unknownToo, { minBytes: 1, maxWaitMs: WAIT_MS })
      await timed('min bytes there', [['fetched', 0]], { minBytes: 100, maxWaitMs: LONG_WAIT_MS })
      await timed('at the end, min bytes 0', [['fetched', 1]], { minBytes: 0, maxWaitMs: LONG_WAIT_MS })
      await timed('at the end, no wait', [['fetched', 1]], { minBytes: 1, maxWaitMs: 0 })
      await timed('at the end, negative wait', [['fetched', 1]], { minBytes: 1, maxWaitMs: -1 })
      await timed('an unknown topic alone', [[noTopic, 0]], { minBytes: 1, maxWaitMs: LONG_WAIT_MS })
      await timed('no partitions', [], { minBytes: 1, maxWaitMs: LONG_WAIT_MS })
    }
    await see('zstd behind other records', [['with-zstd', 0]])
    await see('zstd first', [['with-zstd', 0, { offset: 2 }]])
    await see('compression.type zstd', [['zstd-by-config', 0]])
    if (version >= 4) {
      for (const isolationLevel of [1, 2, -1])
        await see(
          `isolation ${isolationLevel}`,
          [
            ['fetched', 0],
            ['fetched', 1],
          ],
          { isolationLevel },
        )
    }
    if (version >= 9) for (const leaderEpoch of [0, 1, 99, -2]) await see(`leader epoch ${leaderEpoch}`, [['fetched', 0, { leaderEpoch }]])
    if (version >= 12) {
      for (const lastFetchedEpoch of [0, 1, -2]) {
        await see(`last fetched epoch ${lastFetchedEpoch}`, [
          ['fetched', 0, { lastFetchedEpoch }],
          ['fetched', 1, { lastFetchedEpoch }],
        ])
      }
      await see('last fetched epoch 0 beyond the end', [['fetched', 0, { lastFetchedEpoch: 0, offset: 50 }]])
    }
    for (const replicaId of [-2, -3, 0, 1, 7]) {
      const as = version >= 15 ? { replicaState: { replicaId, replicaEpoch: -1 } } : { replicaId }
      await see(`as replica ${replicaId}`, [['fetched', 0, { offset: 11 }]], as)
    }
    if (version >= 11) await see('rack', [['fetched', 0, { offset: 11 }]], { rackId: 'somewhere' })
  }
}

/** Down-conversion: what old consumers see of batches of every codec, of LogAppendTime, of idempotent producers. */
export async function fetchOldFormats(peer: Peer): Promise<void> {
  await peer.topic('converted')
  await peer.append('converted', batch(someRecords(3), { producerId: 7_000_000, producerEpoch: 0, baseSequence: 0 }))
  await peer.append('converted', batch([{ timestamp: -1, key: null, value: null }]))
  for (const codec of ['gzip', 'snappy', 'lz4'] as const) await peer.append('converted', batch(someRecords(3), { codec }))
  await peer.topic('converted-append-time', { configs: { 'message.timestamp.type': 'LogAppendTime' } })
  await peer.append('converted-append-time', batch(someRecords(2)))
  await peer.append('converted-append-time', batch(someRecords(2), { codec: 'gzip' }))
  for (const version of peer.versions(Fetch)) {
    const see = (what: string, rows: Rows, options: Options = {}) =>
      peer.see(`Fetch ${version}, converted: ${what}`, Fetch, version, peer.fetchRequest(version, rows, options))
    for (let offset = 0; offset <= 13; offset++) await see(`from ${offset}`, [['converted', 0, { offset }]])
    for (const offset of [0, 1, 2, 3]) await see(`LogAppendTime from ${offset}`, [['converted-append-time', 0, { offset }]])
    for (const maxBytes of [1, 100, 200, 300, 400]) await see(`partition max bytes ${maxBytes}`, [['converted', 0, { maxBytes }]])
  }
}

export async function fetchInSessions(peer: Peer): Promise<void> {
  for (const version of peer.versions(Fetch).filter((candidate) => candidate >= 7)) {
    const topic = `session-${version}`
    await peer.topic(topic, { partitions: 3 })
    await peer.append(topic, batch(someRecords(2)))
    const see = (what: string, rows: Rows, session: { sessionId: number; sessionEpoch: number }, options: Options = {}) =>
      peer.see(`Fetch session, ${version}: ${what}`, Fetch, version, peer.fetchRequest(version, rows, { ...session, ...options }))
    const idOf = (response: FetchResponse | undefined): number => response?.sessionId ?? 0
    const three: Rows = [
      [topic, 0],
      [topic, 1],
      [topic, 2],
    ]
    const forget = (...partitions: number[]): Options => ({
      forgottenTopicsData: [version < 13 ? { topic, partitions } : { topicId: peer.idOf(topic), partitions }] as never,
    })

    await see('none', three, { sessionId: 0, sessionEpoch: -1 })
    const sessionId = idOf(await see('created', three, { sessionId: 0, sessionEpoch: 0 }))
    const at = (sessionEpoch: number) => ({ sessionId, sessionEpoch })
    await see('1: moved on', [[topic, 0, { offset: 2 }]], at(1))
    await see('2: nothing new', [], at(2))
    await peer.append(topic, batch(someRecords(1)), 1)
    await see('3: one appended to', [], at(3))
    await see('4: appended to again in the answer', [], at(4))
    await see('epoch 4 again', [], at(4))
    await see('epoch 9', [], at(9))
    await see('5: after errors', [[topic, 1, { offset: 1 }]], at(5))
    await see('6: beyond the end', [[topic, 2, { offset: 7 }]], at(6))
    await see('7: still beyond the end', [], at(7))
    await see('8: back', [[topic, 2, { offset: 0 }]], at(8))
    await see('9: nothing new', [], at(9))
    await see('10: unknown partition added', [[topic, 5]], at(10))
    await see('11: unknown partition stays', [], at(11))
    await see('12: unknown topic added', [[noTopic, 0]], at(12))
    await see('13: unknown topic stays', [], at(13))
    await see('14: forgets', [], at(14), forget(5, 2))
    await peer.append(topic, batch(someRecords(1)), 2)
    await see('15: a forgotten one is not told', [], at(15))
    await see('16: forgets what is not there', [], at(16), forget(9))
    await see('17: forgets and adds the same', [[topic, 2]], at(17), forget(2))
    await peer.call(DeleteRecords, 2, { topics: [{ name: topic, partitions: [{ partitionIndex: 0, offset: 1 }] }], timeoutMs: 5000 })
    await see('18: log start moved', [[topic, 2, { offset: 1 }]], at(18))
    await see('19: nothing new', [], at(19))
    await see('unknown session', [], { sessionId: sessionId === 77 ? 78 : 77, sessionEpoch: 1 })
    await see('session 0 with epoch', [], { sessionId: 0, sessionEpoch: 1 })
    await see('closed', [], { sessionId, sessionEpoch: -1 })
    await see('after closing', [], at(20))
    const second = idOf(await see('second session', three, { sessionId: 0, sessionEpoch: 0 }))
    const third = idOf(await see('replaced by a third', [[topic, 0, { offset: 2 }]], { sessionId: second, sessionEpoch: 0 }))
    await see('the second is gone', [], { sessionId: second, sessionEpoch: 1 })
    await see('the third is there', [], { sessionId: third, sessionEpoch: 1 })
    await see('closed with partitions', [[topic, 0]], { sessionId: third, sessionEpoch: -1 })
    await see('created with nothing', [], { sessionId: 0, sessionEpoch: 0 })
    const failing = idOf(
      await see(
        'created with errors',
        [
          [noTopic, 0],
          [topic, 9],
          [topic, 0, { offset: 50 }],
        ],
        { sessionId: 0, sessionEpoch: 0 },
      ),
    )
    await see('errors again', [], { sessionId: failing, sessionEpoch: 1 })
    const emptied = idOf(await see('to be emptied', [[topic, 0]], { sessionId: 0, sessionEpoch: 0 }))
    await see('emptied', [], { sessionId: emptied, sessionEpoch: 1 }, forget(0))
    await see('after it was emptied', [], { sessionId: emptied, sessionEpoch: 2 })
    if (version < 13) continue
    const byName = idOf(await peer.see(`Fetch session, ${version}: by name`, Fetch, 12, peer.fetchRequest(12, three, at(0))))
    await see('by name, then by id', [], { sessionId: byName, sessionEpoch: 1 })
    const byId = idOf(await see('by id', three, { sessionId: 0, sessionEpoch: 0 }))
    const named = peer.fetchRequest(12, [], { sessionId: byId, sessionEpoch: 1 })
    await peer.see(`Fetch session, ${version}: by id, then by name`, Fetch, 12, named)
  }
}

/** Which partitions come first when the answer is full, and how a waiting fetch wakes. */
export async function fetchInTurns(peer: Peer): Promise<void> {
  const version = peer.newest(Fetch)
  await peer.topic('turns', { partitions: 3 })
  for (const partition of [0, 1, 2]) {
    for (let count = 0; count < 2; count++) await peer.append('turns', batch(someRecords(1, { valueBytes: 100 })), partition)
  }
  const rows: Rows = [
    ['turns', 0],
    ['turns', 1],
    ['turns', 2],
  ]
  const request = peer.fetchRequest(version, rows, { sessionId: 0, sessionEpoch: 0, maxBytes: 180 })
  const first = await peer.see('turns: first', Fetch, version, request)
  const sessionId = first?.sessionId ?? 0
  for (const sessionEpoch of [1, 2, 3, 4]) {
    await peer.see(`turns: ${sessionEpoch}`, Fetch, version, peer.fetchRequest(version, [], { sessionId, sessionEpoch, maxBytes: 180 }))
  }
}
