import assert from 'node:assert/strict'
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Logger, silentLogger } from '@tidelog/core'
import { ManualClock, temporaryDirectory } from '@tidelog/testkit'
import { EmbeddedStore } from './embedded-store.ts'
import { type MetadataStore, StoreError, type WatchEvent } from './metadata-store.ts'

const bytes = (text: string) => Buffer.from(text)
const textAt = async (session: MetadataStore, path: string) => (await session.get(path)).data.toString()
const code = (expected: string) => (error: unknown) => error instanceof StoreError && error.code === expected

async function openStore(t: TestContext, dir: string, options: { snapshotAfterBytes?: number; logger?: Logger } = {}) {
  const store = await EmbeddedStore.open({ dir, clock: new ManualClock(), logger: silentLogger, ...options })
  t.after(() => store.close())
  return store
}

test('nodes have ZooKeeper stats: versions, transaction numbers and children', async (t) => {
  const session = (await openStore(t, await temporaryDirectory(t))).connect()
  await session.create('/brokers', bytes(''))
  await session.create('/brokers/ids', bytes(''))
  await session.set('/brokers', bytes('x'))
  const { data, stat } = await session.get('/brokers')
  assert.equal(data.toString(), 'x')
  assert.deepEqual(
    { ...stat, ctimeMs: 0, mtimeMs: 0 },
    {
      czxid: 1,
      mzxid: 3,
      pzxid: 2,
      ctimeMs: 0,
      mtimeMs: 0,
      version: 1,
      cversion: 1,
      ephemeralOwner: 0,
      dataBytes: 1,
      childrenCount: 1,
    },
  )
  assert.deepEqual(await session.children('/'), ['brokers'])
  assert.equal(await session.exists('/none'), undefined)
})

test('operations that do not fit the tree are refused with their reason', async (t) => {
  const session = (await openStore(t, await temporaryDirectory(t))).connect()
  await session.create('/a', bytes('1'))
  await session.create('/a/b', bytes('1'))
  await session.create('/e', bytes('1'), { ephemeral: true })
  await assert.rejects(session.create('/a', bytes('2')), code('NodeExists'))
  await assert.rejects(session.create('/x/y', bytes('2')), code('NoNode'))
  await assert.rejects(session.create('/e/child', bytes('2')), code('NoChildrenForEphemerals'))
  await assert.rejects(session.get('/x'), code('NoNode'))
  await assert.rejects(session.children('/x'), code('NoNode'))
  await assert.rejects(session.set('/a', bytes('2'), 7), code('BadVersion'))
  await assert.rejects(session.delete('/a'), code('NotEmpty'))
  await assert.rejects(session.delete('/a/b', 1), code('BadVersion'))
  for (const path of ['', 'a', '/a/', '/a//b', '/a/../b', '/a/./b', '/\u0000', '/\ud800']) {
    await assert.rejects(session.create(path, bytes('')), code('BadArguments'), JSON.stringify(path))
  }
  await assert.rejects(session.create('/big', Buffer.alloc(1024 * 1024)), code('BadArguments'))
  await session.set('/a', bytes('2'), 0)
  assert.equal(await textAt(session, '/a'), '2')
})

test('a transaction happens as a whole or not at all', async (t) => {
  const session = (await openStore(t, await temporaryDirectory(t))).connect()
  await session.create('/a', bytes('1'))
  const before = await session.get('/a')
  const failing = session.multi([
    { type: 'set', path: '/a', data: bytes('2') },
    { type: 'create', path: '/a/b', data: bytes('') },
    { type: 'delete', path: '/a/b' },
    { type: 'check', path: '/a', version: 5 },
  ])
  await assert.rejects(failing, (error) => error instanceof StoreError && error.code === 'BadVersion' && error.operationIndex === 3)
  assert.deepEqual(await session.get('/a'), before)
  const results = await session.multi([
    { type: 'check', path: '/a', version: 0 },
    { type: 'create', path: '/a/n-', data: bytes(''), sequential: true },
    { type: 'create', path: '/a/n-', data: bytes(''), sequential: true },
  ])
  assert.deepEqual(
    results.map(({ path }) => path),
    ['/a', '/a/n-0000000000', '/a/n-0000000001'],
  )
  assert.equal(results[1]!.stat!.czxid, results[2]!.stat!.czxid)
})

test('a sequential node gets a higher number than any sibling before it, also after deletions and a restart', async (t) => {
  const dir = await temporaryDirectory(t)
  const first = await openStore(t, dir)
  const session = first.connect()
  await session.create('/q', bytes(''))
  const { path } = await session.create('/q/n', bytes(''), { sequential: true })
  await session.delete(path)
  await first.close()
  const again = (await openStore(t, dir)).connect()
  assert.equal((await again.create('/q/n', bytes(''), { sequential: true })).path, '/q/n0000000002')
})

test('an ephemeral node goes with its session, and watchers of others hear of it', async (t) => {
  const store = await openStore(t, await temporaryDirectory(t))
  const [owner, other] = [store.connect(), store.connect()]
  await owner.create('/controller', bytes('1'), { ephemeral: true })
  const events: WatchEvent[] = []
  other.watch('/controller', (event) => events.push(event))
  await owner.close()
  await owner.ended
  assert.deepEqual(events, [{ type: 'deleted', path: '/controller' }])
  assert.equal(await other.exists('/controller'), undefined)
  await assert.rejects(owner.get('/'), code('SessionExpired'))
  await assert.rejects(owner.create('/x', bytes('')), code('SessionExpired'))
})

test('a watch tells of creation, data, children and deletion; a one-shot watch of the first of them', async (t) => {
  const session = (await openStore(t, await temporaryDirectory(t))).connect()
  const events: string[] = []
  const once: string[] = []
  const stop = session.watch('/a', ({ type }) => events.push(type))
  session.watch('/a', ({ type }) => once.push(type), { once: true })
  await session.create('/a', bytes(''))
  await session.set('/a', bytes('x'))
  await session.create('/a/b', bytes(''))
  await session.delete('/a/b')
  await session.delete('/a')
  stop()
  await session.create('/a', bytes(''))
  assert.deepEqual(events, ['created', 'dataChanged', 'childrenChanged', 'childrenChanged', 'deleted'])
  assert.deepEqual(once, ['created'])
})

test('answers arrive in the order of the calls, and a read sees the changes before it', async (t) => {
  const session = (await openStore(t, await temporaryDirectory(t))).connect()
  const order: string[] = []
  const note =
    (name: string) =>
    <T>(value: T): T => {
      order.push(name)
      return value
    }
  const [, , value] = await Promise.all([
    session.create('/a', bytes('1')).then(note('create')),
    session.create('/a', bytes('1')).catch(note('refused')),
    textAt(session, '/a').then(note('get')),
    session.set('/a', bytes('2')).then(note('set')),
  ])
  assert.equal(value, '1')
  assert.deepEqual(order, ['create', 'refused', 'get', 'set'])
})

test('everything but ephemeral nodes is there after a restart, with its stats', async (t) => {
  const dir = await temporaryDirectory(t)
  const first = await openStore(t, dir)
  const session = first.connect()
  await session.create('/a', bytes('1'))
  await session.set('/a', bytes('2'))
  await session.create('/a/b', bytes('3'))
  await session.create('/e', bytes('4'), { ephemeral: true })
  const before = await session.get('/a')
  await first.close()
  const again = (await openStore(t, dir)).connect()
  assert.deepEqual(await again.get('/a'), before)
  assert.equal(await textAt(again, '/a/b'), '3')
  assert.equal(await again.exists('/e'), undefined)
})

test('transaction numbers go on after a restart', async (t) => {
  const dir = await temporaryDirectory(t)
  const first = await openStore(t, dir)
  const { stat: before } = await first.connect().create('/a', bytes('1'))
  await first.close()
  const again = (await openStore(t, dir)).connect()
  const { stat: after } = await again.create('/b', bytes('1'), { ephemeral: true })
  assert.ok(after!.czxid > before!.czxid)
})

test('a long journal becomes a snapshot, and what follows goes on from there', async (t) => {
  const dir = await temporaryDirectory(t)
  const first = await openStore(t, dir, { snapshotAfterBytes: 2000 })
  const session = first.connect()
  await session.create('/n', bytes(''))
  for (let index = 0; index < 100; index++) await session.create(`/n/${index}`, bytes('x'.repeat(50)))
  for (let index = 0; index < 100; index++) await session.set('/n', bytes(`${index}`))
  await first.close()
  assert.deepEqual((await readdir(dir)).sort(), ['.tidelog-metadata.journal', '.tidelog-metadata.snapshot'])
  assert.ok((await stat(join(dir, '.tidelog-metadata.journal'))).size < 40_000)
  const again = (await openStore(t, dir)).connect()
  assert.equal((await again.children('/n')).length, 100)
  assert.deepEqual((await again.get('/n')).stat.version, 100)
})

test('the files are readable by their owner only', async (t) => {
  const dir = await temporaryDirectory(t)
  await openStore(t, dir)
  assert.equal((await stat(join(dir, '.tidelog-metadata.journal'))).mode & 0o777, 0o600)
})

/** A closed store of nodes /0 to /3, one transaction and one frame each, and the journal's bytes. */
async function fourNodes(t: TestContext): Promise<{ dir: string; file: string; journal: Buffer; ends: number[] }> {
  const dir = await temporaryDirectory(t)
  const store = await openStore(t, dir)
  const session = store.connect()
  const file = join(dir, '.tidelog-metadata.journal')
  const ends = [(await stat(file)).size]
  for (let index = 0; index < 4; index++) {
    await session.create(`/${index}`, bytes(`value ${index}`))
    ends.push((await stat(file)).size)
  }
  await store.close()
  return { dir, file, journal: await readFile(file), ends }
}

test('a journal cut at any byte opens with the transactions that are whole', async (t) => {
  const { dir, file, journal, ends } = await fourNodes(t)
  for (let length = ends[0]!; length <= journal.length; length++) {
    await writeFile(file, journal.subarray(0, length))
    const store = await openStore(t, dir)
    const whole = ends.filter((end) => end <= length).length - 1
    assert.equal((await store.connect().children('/')).length, whole, `cut at ${length}`)
    await store.connect().create('/next', bytes(''))
    await store.close()
    const again = await openStore(t, dir)
    assert.equal((await again.connect().children('/')).length, whole + 1, `cut at ${length}, then written to`)
    await again.close()
  }
})

test('a journal whose last frame is garbage opens without it', async (t) => {
  const { dir, file, journal, ends } = await fourNodes(t)
  for (let at = ends[3]!; at < ends[4]!; at++) {
    const torn = Buffer.from(journal)
    torn[at]! ^= 0xff
    await writeFile(file, torn)
    const store = await openStore(t, dir)
    assert.equal((await store.connect().children('/')).length, 3, `garbage at ${at}`)
    await store.close()
  }
})

test('garbage in the middle of a journal refuses to open in one line, and touches nothing', async (t) => {
  const { dir, file, journal, ends } = await fourNodes(t)
  for (let at = 0; at < ends[3]!; at++) {
    const damaged = Buffer.from(journal)
    damaged[at]! ^= 0xff
    await writeFile(file, damaged)
    await assert.rejects(openStore(t, dir), ({ message }: Error) => {
      assert.match(message, /^the metadata store in .* cannot be opened: \.tidelog-metadata\.journal: [^\n]*$/, `garbage at ${at}`)
      return true
    })
    assert.deepEqual(await readFile(file), damaged)
  }
})

test('a missing or damaged file beside the other one refuses to open', async (t) => {
  const dir = await temporaryDirectory(t)
  const store = await openStore(t, dir, { snapshotAfterBytes: 100 })
  const session = store.connect()
  for (let index = 0; index < 10; index++) await session.create(`/${index}`, bytes('x'.repeat(100)))
  await store.close()
  const [journal, snapshot] = [join(dir, '.tidelog-metadata.journal'), join(dir, '.tidelog-metadata.snapshot')]
  const [journalBytes, snapshotBytes] = [await readFile(journal), await readFile(snapshot)]
  await rm(journal)
  await assert.rejects(openStore(t, dir), /\.journal: it is missing beside its snapshot/)
  await writeFile(journal, journalBytes)
  await rm(snapshot)
  await assert.rejects(openStore(t, dir), /\.journal: it follows a snapshot of transaction/)
  for (let at = 0; at < snapshotBytes.length; at += 11) {
    const damaged = Buffer.from(snapshotBytes)
    damaged[at]! ^= 0xff
    await writeFile(snapshot, damaged)
    await assert.rejects(openStore(t, dir), /\.snapshot: /, `garbage at ${at}`)
    await writeFile(snapshot, snapshotBytes.subarray(0, at))
    await assert.rejects(openStore(t, dir), /\.snapshot: /, `cut at ${at}`)
  }
  await writeFile(snapshot, snapshotBytes)
  assert.equal((await (await openStore(t, dir)).connect().children('/')).length, 10)
})
