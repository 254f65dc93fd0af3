import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { declarationsOf, distName, entryPoints } from '../entry-points.ts'
import { type Finding, root } from './sources.ts'

/** package.json exports what scripts/entry-points.ts names, and nothing else but itself. */
export function checkEntryPoints(): Finding[] {
  const path = 'package.json'
  const { exports } = JSON.parse(readFileSync(join(root, path), 'utf8')) as { exports: Readonly<Record<string, unknown>> }
  const expected: Record<string, unknown> = Object.fromEntries(
    Object.entries(entryPoints).map(([subpath, file]) => [
      subpath,
      { types: declarationsOf(file), default: `./dist/${distName(subpath)}.js` },
    ]),
  )
  expected['./package.json'] = './package.json'
  return [...new Set([...Object.keys(expected), ...Object.keys(exports)])]
    .filter((subpath) => JSON.stringify(exports[subpath]) !== JSON.stringify(expected[subpath]))
    .map((subpath) => ({ path, line: 1, message: `exports["${subpath}"] should be ${JSON.stringify(expected[subpath])}` }))
}
