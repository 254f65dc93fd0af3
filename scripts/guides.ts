/**
 * The guides' code. What a guide shows is a region of a program under examples/, which the compiler checks and `npm test` runs:
 *
 *     <!-- examples/producing.ts#one-record -->        in the guide, right before a block of code
 *     // #region one-record … // #endregion            in the program
 *
 * `npm run docs` writes the blocks, `npm run tidy` compares them.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Finding, lineAt, root } from './tidy/sources.ts'

const guidesDir = 'docs/guides'
const examplesDir = 'examples'
const shownBlock = /^<!-- (examples\/[\w-]+\.ts)#([\w-]+) -->\n```ts\n[\s\S]*?^```$/gm

/** Lines between a region's marks, without their common indent. */
function regionsOf(path: string): ReadonlyMap<string, string> {
  const regions = new Map<string, string>()
  const text = readFileSync(join(root, path), 'utf8')
  for (const [, name, body] of text.matchAll(/^ *\/\/ #region ([\w-]+)\n([\s\S]*?)^ *\/\/ #endregion$/gm)) {
    const lines = body!.split('\n')
    const indent = Math.min(...lines.filter((line) => line.trim() !== '').map((line) => line.search(/\S/)))
    regions.set(
      name!,
      lines
        .map((line) => line.slice(indent))
        .join('\n')
        .trimEnd(),
    )
  }
  return regions
}

const allRegions = (): Map<string, ReadonlyMap<string, string>> =>
  new Map(
    readdirSync(join(root, examplesDir))
      .filter((name) => name.endsWith('.ts'))
      .map((name) => [`${examplesDir}/${name}`, regionsOf(`${examplesDir}/${name}`)]),
  )

const guides = (): [path: string, text: string][] =>
  readdirSync(join(root, guidesDir))
    .filter((name) => name.endsWith('.md'))
    .map((name) => [`${guidesDir}/${name}`, readFileSync(join(root, guidesDir, name), 'utf8')])

/** Every guide as it should be, by path from the root. */
export function guidePages(): Map<string, string> {
  const regions = allRegions()
  return new Map(
    guides().map(([path, text]) => [
      path,
      text.replace(shownBlock, (whole, file: string, name: string) => {
        const code = regions.get(file)?.get(name)
        return code === undefined ? whole : `<!-- ${file}#${name} -->\n\`\`\`ts\n${code}\n\`\`\``
      }),
    ]),
  )
}

/** TypeScript in a guide comes from an example that exists, and every region of an example is shown somewhere. */
export function checkGuides(): Finding[] {
  const regions = allRegions()
  const findings: Finding[] = []
  const shown = new Set<string>()
  for (const [path, text] of guides()) {
    const marked = new Set<number>()
    for (const match of text.matchAll(shownBlock)) {
      const [whole, file, name] = match
      shown.add(`${file}#${name}`)
      marked.add(match.index + whole.indexOf('```ts'))
      if (regions.get(file!)?.get(name!) === undefined)
        findings.push({ path, line: lineAt(text, match.index + 1), message: `${file} has no region ${name}` })
    }
    // An import by itself is nothing to run.
    for (const { index } of text.matchAll(/^```ts$(?!(\nimport [^\n]*)+\n```$)/gm)) {
      if (!marked.has(index))
        findings.push({
          path,
          line: lineAt(text, index + 1),
          message: 'code that no example holds: <!-- examples/FILE.ts#REGION --> goes before it',
        })
    }
  }
  for (const [path, named] of regions) {
    for (const name of named.keys())
      if (!shown.has(`${path}#${name}`)) findings.push({ path, line: 1, message: `no guide shows its region ${name}` })
  }
  return findings
}
