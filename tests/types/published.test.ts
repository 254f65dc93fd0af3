import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { temporaryDirectory } from '@tidelog/testkit'

const root = fileURLToPath(new URL('../../..', import.meta.url))

const projects = {
  node16: { type: 'module', compilerOptions: { module: 'node16', moduleResolution: 'node16' } },
  nodenext: { type: 'commonjs', compilerOptions: { module: 'nodenext', moduleResolution: 'nodenext' } },
  bundler: { type: 'module', compilerOptions: { module: 'esnext', moduleResolution: 'bundler' } },
}

for (const [name, { type, compilerOptions }] of Object.entries(projects)) {
  test(`the published declarations say the same to a strict project under moduleResolution ${name}`, async (t) => {
    const dir = await temporaryDirectory(t)
    mkdirSync(join(dir, 'node_modules'))
    symlinkSync(root, join(dir, 'node_modules', 'tidelog'))
    copyFileSync(join(root, 'tests', 'types', 'client.types.ts'), join(dir, 'index.ts'))
    writeFileSync(join(dir, 'package.json'), JSON.stringify({ type }))
    const options = { target: 'es2022', strict: true, noEmit: true, types: [], ...compilerOptions }
    writeFileSync(join(dir, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files: ['index.ts'] }))
    const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
    const { stdout } = await promisify(execFile)(process.execPath, [tsc, '-p', dir]).catch((error: { stdout: string }) => error)
    assert.equal(stdout, '')
  })
}
