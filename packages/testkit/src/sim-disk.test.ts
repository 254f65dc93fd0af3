import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type FileSystem, writeFileAtomically } from '@tidelog/storage'
import { crashAtEveryStep, SimDisk } from './index.ts'

async function put(fs: FileSystem, path: string, text: string, { sync = false } = {}): Promise<void> {
  const fd = await fs.open(path, 'create')
  await fs.write(fd, Buffer.from(text), 0)
  if (sync) await fs.sync(fd)
  await fs.close(fd)
}

const textOf = async (fs: FileSystem, path: string): Promise<string | undefined> =>
  (await fs.stat(path)) === undefined ? undefined : (await fs.readFile(path)).toString()

test('a power cut keeps what was forced to disk, bytes by sync and names by syncDirectory, and of the rest what the seed says', async () => {
  const seen = { forced: new Set<string | undefined>(), nameless: new Set<string | undefined>(), unsynced: new Set<string | undefined>() }
  for (let seed = 0; seed < 60; seed++) {
    const disk = new SimDisk({ seed })
    await disk.fs.makeDirectory('/d')
    await disk.fs.syncDirectory('/')
    await put(disk.fs, '/d/forced', 'forced', { sync: true })
    await put(disk.fs, '/d/unsynced', 'unsynced')
    await disk.fs.syncDirectory('/d')
    await put(disk.fs, '/d/nameless', 'nameless', { sync: true })
    const { fs } = disk.powerCut()
    for (const name of ['forced', 'nameless', 'unsynced'] as const) seen[name].add(await textOf(fs, `/d/${name}`))
    await assert.rejects(disk.fs.list('/d'), { code: 'EIO' })
  }
  assert.deepEqual([...seen.forced], ['forced'])
  assert.deepEqual(new Set(seen.nameless), new Set(['nameless', undefined]))
  assert.ok(seen.unsynced.has('unsynced') && seen.unsynced.has('') && !seen.unsynced.has(undefined))
})

test('a rename may be there without the bytes of the file, and without the rename before it', async () => {
  const seen = new Set<string | undefined>()
  for (let seed = 0; seed < 100; seed++) {
    const disk = new SimDisk({ seed })
    await put(disk.fs, '/old', 'old', { sync: true })
    await disk.fs.syncDirectory('/')
    await put(disk.fs, '/new', 'new')
    await disk.fs.rename('/new', '/old')
    seen.add(await textOf(disk.powerCut().fs, '/old'))
  }
  assert.ok(seen.has('old') && seen.has('new') && seen.has(''), JSON.stringify([...seen]))
})

test('what changes while a file is being forced to disk is not covered', async () => {
  const seen = new Set<string | undefined>()
  for (let seed = 0; seed < 60; seed++) {
    const disk = new SimDisk({ seed })
    const fd = await disk.fs.open('/f', 'create')
    await disk.fs.syncDirectory('/')
    await disk.fs.write(fd, Buffer.from('a'), 0)
    const synced = disk.fs.sync(fd)
    await disk.fs.write(fd, Buffer.from('b'), 1)
    await synced
    seen.add(await textOf(disk.powerCut().fs, '/f'))
  }
  assert.ok(seen.has('a') && seen.has('ab') && !seen.has(''), JSON.stringify([...seen]))
})

test('the same seed leaves the same disk', async () => {
  const left = async (seed: number): Promise<string[]> => {
    const disk = new SimDisk({ seed })
    for (let index = 0; index < 20; index++) await put(disk.fs, `/f${index}`, 'x'.repeat(2000))
    const { fs } = disk.powerCut()
    const names = (await fs.list('/')).map(({ name }) => name)
    return Promise.all(names.map(async (name) => `${name} ${await textOf(fs, `/${name}`)}`))
  }
  assert.deepEqual(await left(5), await left(5))
  assert.notDeepEqual(await left(5), await left(6))
})

test('killed, a process leaves all that it wrote, and a part of the write it died in', async () => {
  const disk = new SimDisk({ seed: 1, diesAt: 4 })
  await put(disk.fs, '/f', 'whole')
  await put(disk.fs, '/g', 'partial'.repeat(100)).then(
    () => assert.fail('it did not die'),
    () => {},
  )
  const { fs } = disk.kill()
  assert.equal(await textOf(fs, '/f'), 'whole')
  assert.ok('partial'.repeat(100).startsWith((await textOf(fs, '/g'))!))
})

test('a file that is replaced by way of a temporary one is old or new after every crash; one that is written over is not', async () => {
  const crashes = await crashAtEveryStep(async (disk) => {
    await writeFileAtomically(disk.fs, '/f', 'old')
    return {
      work: ({ fs }) => writeFileAtomically(fs, '/f', 'new'),
      check: async ({ fs }) => assert.match((await textOf(fs, '/f')) ?? 'nothing', /^(old|new)$/),
    }
  })
  assert.equal(crashes, 2 * 6)
  const torn = crashAtEveryStep(
    async (disk) => {
      await writeFileAtomically(disk.fs, '/f', 'old')
      return {
        work: ({ fs }) => writeFileAtomically(fs, '/f', 'new', { synced: false }),
        check: async ({ fs }) => assert.match((await textOf(fs, '/f')) ?? 'nothing', /^(old|new)$/),
      }
    },
    { seeds: Array.from({ length: 20 }, (_, seed) => seed) },
  )
  await assert.rejects(torn, /after a power cut in change \d \(seed \d+\)/)
})
