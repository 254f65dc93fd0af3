import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

test('the house rules hold: layers, dead files and links, configurations that nobody reads, stale reference pages', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [fileURLToPath(new URL('../../scripts/dist/tidy.js', import.meta.url))], {
    encoding: 'utf8',
  })
  assert.equal(status, 0, stdout + stderr)
})
