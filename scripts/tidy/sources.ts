import { readdirSync, readFileSync } from 'node:fs'
import { join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The repository's root folder, seen from scripts/dist/tidy/. */
export const root = fileURLToPath(new URL('../../..', import.meta.url))

export interface Import {
  readonly id: string
  readonly line: number
}

export interface SourceFile {
  /** From the root, with forward slashes. */
  readonly path: string
  readonly room: string
  readonly isTest: boolean
  readonly lines: number
  /** The text without its comments; line numbers are those of the file. */
  readonly code: string
  readonly imports: readonly Import[]
}

export interface Finding {
  readonly path: string
  readonly line: number
  readonly message: string
}

/** Every TypeScript file below packages/ROOM/src. */
export function readSources(): SourceFile[] {
  return readdirSync(join(root, 'packages')).flatMap((room) =>
    readdirSync(join(root, 'packages', room, 'src'), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts'))
      .map((path) => {
        const shown = `packages/${room}/src/${path.split(sep).join('/')}`
        const text = readFileSync(join(root, shown), 'utf8')
        const code = withoutComments(text)
        return { path: shown, room, isTest: shown.endsWith('.test.ts'), lines: text.split('\n').length - 1, code, imports: importsOf(code) }
      }),
  )
}

/** Blanks comments out, keeping line breaks; strings and templates are kept, so that a `//` in a URL stays. */
export function withoutComments(text: string): string {
  const token = /'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\[\s\S])*`|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g
  return text.replace(token, (found) => (found.startsWith('/') ? found.replace(/[^\n]/g, ' ') : found))
}

/** What `code` imports: static, re-exported and dynamic imports, and files opened as worker threads. */
export function importsOf(code: string): Import[] {
  const found: Import[] = []
  const patterns = [
    /^\s*(?:import|export)\s[^'"`;]*?\bfrom\s*'([^']+)'/gm,
    /^\s*import\s*'([^']+)'/gm,
    /\bimport\(\s*'([^']+)'\s*\)/g,
    /\bonFirstUse<[^()]*?(?:\([^()]*\))?>\(\s*'([^']+)'\s*\)/g,
    /\bnew URL\(\s*'(\.[^']*-worker\.(?:ts|js))'/g,
  ]
  for (const pattern of patterns) {
    for (const match of code.matchAll(pattern)) {
      const end = (match.index ?? 0) + match[0].length
      found.push({ id: match[1] as string, line: lineAt(code, end) })
    }
  }
  return found
}

/** The line, counted from 1, on which position `at` of `text` lies. */
export function lineAt(text: string, at: number): number {
  let line = 1
  for (let i = text.indexOf('\n'); i !== -1 && i < at; i = text.indexOf('\n', i + 1)) line++
  return line
}
