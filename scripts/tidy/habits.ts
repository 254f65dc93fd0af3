import { type Finding, lineAt, type SourceFile } from './sources.ts'

const maxLines = 500
/** Rooms whose job it is to own a process, or to give others a fake of one. */
const ownsProcess = new Set(['cli', 'testkit', 'tidelog'])

/** Every handler of the broker has its test beside it. */
export function checkHandlers(sources: readonly SourceFile[]): Finding[] {
  const paths = new Set(sources.map(({ path }) => path))
  return sources
    .filter(({ path, isTest }) => !isTest && /^packages\/broker\/src\/handlers\/\d\d-[^/]+\.ts$/.test(path))
    .filter(({ path }) => !paths.has(path.replace(/\.ts$/, '.test.ts')))
    .map(({ path }) => ({ path, line: 1, message: 'a handler without a test beside it' }))
}

/** Short files with plain names; nothing process-wide and no hidden clock or randomness outside the rooms that own them. */
export function checkHabits(sources: readonly SourceFile[]): Finding[] {
  return sources.flatMap(({ path, room, isTest, lines, code }) => {
    const findings: Finding[] = []
    if (lines > maxLines) findings.push({ path, line: maxLines, message: `${lines} lines; split files at ${maxLines}` })
    if (!/^[a-z0-9]+(-[a-z0-9]+)*(\.test)?\.ts$/.test(path.slice(path.lastIndexOf('/') + 1)))
      findings.push({ path, line: 1, message: 'file names are kebab-case' })
    if (isTest) return findings
    const forbidden: [RegExp, string][] = [[/\bTODO\b|\bFIXME\b|\bXXX\b/g, 'unfinished work belongs in an issue']]
    if (!ownsProcess.has(room)) {
      forbidden.push([/\bprocess\.(exit|exitCode|abort|kill|on|once|chdir|cwd|env|argv)\b/g, 'touches process-wide state'])
      if (room !== 'core')
        forbidden.push([
          /\bDate\.now\(|\bMath\.random\(|\bperformance\.now\(/g,
          "takes time or randomness from the process; use core's Clock and Random",
        ])
    }
    for (const [pattern, message] of forbidden)
      for (const match of code.matchAll(pattern))
        findings.push({ path, line: lineAt(code, match.index), message: `${match[0]}: ${message}` })
    return findings
  })
}
