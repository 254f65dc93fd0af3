import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FilePool, PooledFile } from './file-pool.ts'
import { type FileSystem, nodeFileSystem } from './file-system.ts'

/** A disk on which no more than `limit` files are open at a time. */
function limitedFileSystem(limit: number): FileSystem {
  const open = new Set<number>()
  let next = 3
  return {
    ...nodeFileSystem,
    async open() {
      if (open.size >= limit) throw Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' })
      open.add(next)
      return next++
    },
    async close(fd) {
      assert.equal(open.delete(fd), true)
    },
  }
}

test('a file is opened in the place of idle ones when the process has no descriptor left, and never of one in use', async () => {
  const pool = new FilePool(limitedFileSystem(2))
  const [first, second, third] = ['a', 'b', 'c'].map((path) => new PooledFile(path))
  await pool.use(first!, async () => {
    await pool.use(second!, async () => {})
    await pool.use(third!, async (fd) => assert.equal(fd, third!.fd))
    await pool.use(third!, async () => {
      await assert.rejects(
        pool.use(second!, async () => {}),
        { code: 'EMFILE' },
      )
    })
  })
  await pool.use(second!, async () => {})
})
