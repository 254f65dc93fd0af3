import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { ManualClock, temporaryDirectory } from '@tidelog/testkit'
import { nodeFileSystem } from './file-system.ts'
import { startingFileSystem } from './starting-file-system.ts'

/** Whether a call was done when it returned: its promise then settles before anything that left the loop. */
async function isDoneAtOnce(call: Promise<unknown>): Promise<boolean> {
  let isDone = false
  call.then(() => {
    isDone = true
  })
  for (let turn = 0; turn < 5; turn++) await null
  const wasDone = isDone
  await call
  return wasDone
}

test('the disk of a start does what the real one does, on the loop until the broker has started', async (t) => {
  const dir = await temporaryDirectory(t)
  const path = join(dir, 'file')
  const { fs, started } = startingFileSystem(new ManualClock())
  const fd = await fs.open(path, 'create')
  assert.equal(await fs.write(fd, Buffer.from('content'), 0), 7)
  await fs.truncate(fd, 4)
  const into = Buffer.alloc(10)
  assert.equal(await fs.read(fd, into, 1), 3)
  await fs.close(fd)
  for (const disk of [fs, nodeFileSystem]) {
    assert.equal((await disk.readFile(path)).toString(), 'cont')
    assert.deepEqual(await disk.list(dir), [{ name: 'file', isDirectory: false }])
    assert.deepEqual(await disk.stat(path), await nodeFileSystem.stat(path))
    assert.equal(await disk.stat(join(dir, 'missing')), undefined)
    await assert.rejects(disk.readFile(join(dir, 'missing')), { code: 'ENOENT' })
    await assert.rejects(disk.open(join(dir, 'missing'), 'read'), { code: 'ENOENT' })
  }
  assert.equal(await isDoneAtOnce(fs.stat(path)), true)
  started()
  assert.equal(await isDoneAtOnce(fs.stat(path)), false)
})

test('a start that waits for the disk again and again asks it for several things at a time instead', async (t) => {
  const path = await temporaryDirectory(t)
  const clock = new ManualClock()
  let nowMs = 0
  clock.monotonic = () => {
    nowMs += 5
    return nowMs
  }
  const { fs } = startingFileSystem(clock)
  for (let call = 0; call < 20; call++) assert.equal(await isDoneAtOnce(fs.stat(path)), true)
  assert.equal(await isDoneAtOnce(fs.stat(path)), false)
})
